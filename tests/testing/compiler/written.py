"""Workflows as users write them with flytekit, sound ones and those that flytekit lets through."""

import functools
from datetime import datetime, timedelta
from typing import Any

import optuna
import pandas as pd
from flytekit import LaunchPlan, approve, conditional, map_task, sleep, wait_for_input, workflow
from flytekit.core.array_node import array_node
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from testing.compiler.cases import flow_of, written
from testing.compiler.stand_ins import (
    AB,
    A,
    ACsv,
    C,
    Colour,
    Point,
    Point3,
    Thing,
    Two,
    add,
    bare,
    bares,
    brush,
    check,
    clean,
    csv,
    double,
    either,
    file,
    folder,
    frame,
    frame_a,
    frame_ab,
    frame_c,
    frame_csv,
    grid,
    half,
    line,
    lists,
    maybe_point,
    moment,
    nothing,
    numbers,
    optional,
    optional_list,
    optionals,
    paint,
    palette,
    point,
    point3,
    points,
    study,
    table,
    text,
    texts,
    thing,
    total,
    two,
    txt,
    whatever,
    whatevers,
)

written("chain", int, lambda a: add(a=add(a=a)), a=int)


@flow_of
def diamond(a: int) -> int:
    top = add(a=a)
    return add(a=add(a=top), b=add(a=top))


written("no_inputs", int, lambda: add(a=1))


@flow_of
def no_outputs():
    nothing() >> nothing()


@flow_of
def ordered(a: int) -> int:
    first, second = nothing(), add(a=a)
    first >> second
    return second


written(
    "defaults",
    Two,
    lambda a, s, xs, o: Two(add(a=a, b=total(xs=xs)), text(s=s)),
    a=(int, 1),
    s=(str, "a"),
    xs=(list[int], [1, 2]),
    o=(int | None, None),
)


@flow_of
def two_outputs(a: int) -> tuple[int, str]:
    found = two(a=a)
    return add(a=found.first), text(s=found.second)


written("passed_through", tuple[int, str, int], lambda a, s: (a, s, add(a=a)), a=int, s=str)
written("list_of_promises", int, lambda a: total(xs=[add(a=a), 2, a, add(a=a)]), a=int)
written("list_of_lists", list[list[int]], lambda a: grid(rows=[[a, 1], [], numbers(n=a)]), a=int)
written("dictionary_of_promises", dict[str, int], lambda a: table(d={"a": a, "b": add(a=a), "c": 3}), a=int)
written("list_as_output", list[int], lambda a: [add(a=a), a], a=int)
written(
    "constants",
    tuple[float, str, int, dict, Any],
    lambda: (half(x=0.5), text(s=""), total(xs=[]), bare(d={"a": [1, "b", None]}), whatever(a=1)),
)
written("times", datetime, lambda: moment(t=datetime(2026, 1, 2), d=timedelta(seconds=3)))
written("int_for_float", float, lambda a: half(x=a), a=int)
written("float_for_int", int, lambda: add(a=half(x=1.5)))
written("str_for_int", int, lambda s: add(a=text(s=s)), s=str)
written("ints_for_strs", str, lambda n: texts(xs=numbers(n=n)), n=int)
written("int_for_list", int, lambda a: total(xs=add(a=a)), a=int)
written("list_for_int", int, lambda a: add(a=numbers(n=a)), a=int)
written("mixed_list", int, lambda a: total(xs=[add(a=a), text(s="a")]), a=int)
written("enums", Colour, lambda c: palette(colours=[paint(colour=c), paint(colour=Colour.GREEN), c]), c=Colour)
written("str_for_enum", Colour, lambda s: paint(colour=text(s=s)), s=str)
written("enum_for_str", str, lambda c: text(s=paint(colour=c)), c=Colour)


@flow_of
def enum_in_union(c: Colour) -> Colour | None:
    brush(colour=Colour.RED)
    return brush(colour=c)


written("optional_left_out", int | None, lambda: optional())


@flow_of
def optional_given(a: int) -> int | None:
    optional(a=1)
    optional(a=None)
    optional(a=a)
    return optional(a=optional(a=add(a=a)))


written("optional_for_int", int, lambda a: add(a=optional(a=a)), a=int)
written("int_for_optionals", int, lambda a: optionals(xs=numbers(n=a)), a=int)
written("list_of_optionals", int, lambda a: optionals(xs=[1, None, a, optional(a=a)]), a=int)


@flow_of
def optional_list_given(a: int) -> list[int] | None:
    optional_list()
    optional_list(xs=[])
    optional_list(xs=None)
    return optional_list(xs=[1, a, add(a=a)])


@flow_of
def union_given(a: int, s: str) -> int | str:
    either(a=1)
    either(a="a")
    either(a=a)
    return either(a=s)


written("float_for_union", int | str, lambda: either(a=half(x=1.0)))


@flow_of
def union_of_lists(a: int, s: str) -> int:
    lists(xs=[1, 2])
    lists(xs=[a])
    return lists(xs=["a"])


written("anything", Any, lambda a: whatever(a=whatever(a="a")), a=int)
written("int_for_any", Any, lambda a: whatever(a=a), a=int)
written("any_for_int", int, lambda: add(a=whatever(a=1)))
written("any_for_other_class", Thing, lambda: thing(t=whatever(a=1)))
written("dicts_of_any_for_dicts", list[dict], lambda: bares(ds=whatevers(ds=[{"a": 1}])))
written("dicts_for_dicts_of_any", list[dict[str, Any]], lambda: whatevers(ds=bares(ds=[{"a": 1}])))
written("typed_dict_for_dict", dict, lambda: bare(d=table(d={"a": 1})))


@flow_of
def dataclass_given(p: Point) -> Point:
    point(p=Point(1, 0.5))
    return point(p=point(p=p))


written("dataclass_for_dict", dict, lambda p: bare(d=p), p=Point)
written("dict_for_dataclass", Point, lambda d: point(p=bare(d=d)), d=dict)
written("subclass_for_class", Point, lambda p: point(p=p), p=Point3)
written("class_for_subclass", Point3, lambda p: point3(p=p), p=Point)
written("dataclass_for_optional", Point | None, lambda p: maybe_point(p=p), p=Point)
written("optional_dataclass", Point | None, lambda p: maybe_point(p=maybe_point(p=p)), p=Point | None)


@flow_of
def attribute(n: int) -> tuple[int, float]:
    found = point(p=Point(1, 0.5))
    return add(a=found.x), half(x=found.y)


written("attribute_of_input", int, lambda p: add(a=p.x), p=Point)
written("attribute_of_other_type", int, lambda p: add(a=point(p=p).y), p=Point)
written("attribute_that_is_missing", int, lambda p: add(a=point(p=p).z), p=Point)


@flow_of
def attributes_in_attributes(n: int) -> tuple[int, str, float, float]:
    found = line(n=n)
    return add(a=found.start.x), text(s=found.names[0]), half(x=found.points[1].y), half(x=found.weights["a"])


written("attribute_that_is_a_dataclass", Point, lambda n: point(p=line(n=n).start), n=int)
written("attribute_that_is_a_list", list[Point], lambda n: points(ps=line(n=n).points), n=int)
written("attribute_that_is_an_enum", Colour, lambda n: paint(colour=line(n=n).colour), n=int)
written("attribute_of_optional", int, lambda n: add(a=line(n=n).end.x), n=int)
written("attribute_as_output", float, lambda n: line(n=n).weights["a"], n=int)
written("index", int, lambda n: add(a=numbers(n=n)[0]), n=int)
written("index_twice", int, lambda n: add(a=grid(rows=[[n]])[0][0]), n=int)
written("key", int, lambda: add(a=table(d={"a": 1})["a"]))


@flow_of
def study_attributes(s: optuna.Study) -> tuple[float, int, dict, int]:
    found = study(s=s)
    return half(x=found.best_value), add(a=found.n_trials), bare(d=found.best_params), add(a=found.best_trials[0])


written("study_best_param", float, lambda s: half(x=study(s=s).best_params["x"]), s=optuna.Study)
written("study_for_dict", dict, lambda s: bare(d=study(s=s)), s=optuna.Study)
written("dict_for_study", optuna.Study, lambda d: study(s=bare(d=d)), d=dict)
written(
    "files",
    tuple[FlyteFile["csv"], FlyteDirectory],
    lambda f, d: (csv(f=file(f=csv(f=f))), folder(f=d)),
    f=FlyteFile["csv"],
    d=FlyteDirectory,
)
written("csv_for_txt", FlyteFile["txt"], lambda f: txt(f=csv(f=f)), f=FlyteFile["csv"])
written("folder_for_file", FlyteFile, lambda f: file(f=folder(f=f)), f=FlyteDirectory)
written(
    "frames",
    tuple[A, AB, pd.DataFrame],
    lambda d: (frame_a(d=frame_ab(d=d)), frame_ab(d=frame(d=d)), frame(d=frame_a(d=d))),
    d=AB,
)
written("frame_without_column", AB, lambda d: frame_ab(d=frame_a(d=d)), d=A)
written("frame_with_other_column", C, lambda d: frame_c(d=d), d=A)
written("frame_in_other_format", A, lambda d: frame_a(d=frame_csv(d=d)), d=ACsv)
written("mapped", list[int], lambda a: map_task(double)(a=[1, 2, a]), a=int)
written("mapped_over_promise", int, lambda a: total(xs=map_task(add)(a=numbers(n=a), b=numbers(n=a))), a=int)
written("mapped_over_strs", list[int], lambda s: map_task(double)(a=[s]), s=str)
written("mapped_over_one", list[int], lambda a: map_task(double)(a=a), a=int)
written(
    "mapped_with_failures", int, lambda a: optionals(xs=map_task(double, min_success_ratio=0.5)(a=numbers(n=a))), a=int
)
written("mapped_over_unions", list[int | str], lambda a, s: map_task(either)(a=[a, s, 1, "a"]), a=int, s=str)
written("mapped_over_dataclasses", list[Point], lambda p: map_task(point)(p=[p, Point(1, 0.5)]), p=Point)


@workflow
def inner(a: int, b: int = 2) -> int:
    return add(a=a, b=b)


@workflow
def middle(a: int) -> int:
    return add(a=inner(a=a, b=inner(a=1)))


written("subworkflow", int, lambda a: inner(a=add(a=a)), a=int)
written("subworkflows_in_subworkflows", int, lambda a: middle(a=middle(a=inner(a=a))), a=int)
written("subworkflow_of_str", int, lambda s: inner(a=s), s=str)


inner_plan = LaunchPlan.get_or_create(inner, "inner_plan")
plan_with_default = LaunchPlan.get_or_create(inner, "plan_with_default", default_inputs={"a": 1})
plan_with_fixed = LaunchPlan.get_or_create(inner, "plan_with_fixed", fixed_inputs={"b": 3})


@flow_of
def launch_plans(a: int) -> int:
    plan_with_default()
    return inner_plan(a=plan_with_fixed(a=a), b=add(a=a))


written("launch_plan_of_str", int, lambda s: inner_plan(a=s), s=str)
written("mapped_launch_plan", list[int], lambda a: array_node(inner_plan)(a=[1, a], b=[a, a]), a=int)
written("one_of_two", int, lambda a: conditional("c").if_(a > 1).then(add(a=a)).else_().then(total(xs=[a])), a=int)


@flow_of
def one_of_three(a: int, s: str) -> int:
    c = conditional("c").if_((a > 1) & (s == "a")).then(add(a=a)).elif_((a < 0) | (s != "b")).then(total(xs=[a]))
    return c.else_().then(inner(a=a))


written("branch_that_fails", int, lambda a: conditional("c").if_(a >= 1).then(add(a=a)).else_().fail("No a."), a=int)


@flow_of
def branch_on_output(a: int) -> int:
    found = add(a=a)
    return conditional("c").if_(found >= 1).then(add(a=found)).else_().fail("No a.")


written(
    "branch_on_call_in_condition",
    int,
    lambda a: conditional("c").if_(add(a=a) >= 1).then(add(a=a)).else_().then(add(a=2)),
    a=int,
)


@flow_of
def branch_on_bool(a: int, b: bool) -> int:
    found = check(a=a)
    c = conditional("c").if_(found.is_true()).then(add(a=a)).elif_(b.is_false()).then(add(a=1))
    return c.else_().then(add(a=2))


@flow_of
def branch_on_two_promises(a: int) -> int:
    first, second = add(a=a), add(a=1)
    return conditional("c").if_(first == second).then(add(a=a)).else_().then(add(a=2))


written(
    "branch_on_int_and_float", int, lambda a: conditional("c").if_(a > 0.5).then(add(a=a)).else_().then(add(a=2)), a=int
)
written(
    "branch_on_float_and_int", int, lambda x: conditional("c").if_(x > 1).then(add(a=1)).else_().then(add(a=2)), x=float
)


@flow_of
def branch_on_attribute(p: Point) -> int:
    found = point(p=p)
    return conditional("c").if_(found.x > 1).then(add(a=1)).else_().then(add(a=2))


@flow_of
def branch_on_enum(c: Colour) -> int:
    found = paint(colour=c)
    return conditional("c").if_(found == "red").then(add(a=1)).else_().then(add(a=2))


@flow_of
def branch_on_none(a: int | None) -> int:
    found = optional(a=a)
    return conditional("c").if_(found.is_none()).then(add(a=1)).else_().then(add(a=2))


@flow_of
def branches_in_branches(a: int) -> int:
    deep = conditional("d").if_(a > 5).then(add(a=a)).else_().then(add(a=5))
    return conditional("c").if_(a > 1).then(deep).else_().then(add(a=2))


written(
    "branch_of_str", int, lambda a, s: conditional("c").if_(a > 1).then(add(a=s)).else_().then(add(a=2)), a=int, s=str
)
written(
    "branches_of_other_types",
    int,
    lambda a: conditional("c").if_(a > 1).then(add(a=a)).else_().then(half(x=0.5)),
    a=int,
)


@flow_of
def branches_of_other_outputs(a: int):
    conditional("c").if_(a > 1).then(add(a=a)).else_().then(two(a=a))


written(
    "branch_on_map",
    list[int],
    lambda a: conditional("c").if_(a > 1).then(map_task(double)(a=[a])).else_().then(numbers(n=a)),
    a=int,
)


@flow_of
def slept(a: int) -> int:
    pause, found = sleep(timedelta(seconds=1)), add(a=a)
    pause >> found
    return found


written("waited", int, lambda a: add(a=wait_for_input("n", timeout=timedelta(hours=1), expected_type=int)), a=int)
written(
    "waited_for_str", int, lambda a: add(a=wait_for_input("n", timeout=timedelta(hours=1), expected_type=str)), a=int
)
written("approved", int, lambda a: add(a=approve(add(a=a), "ok", timeout=timedelta(hours=1))), a=int)
written("approved_for_str", str, lambda a: text(s=approve(add(a=a), "ok", timeout=timedelta(hours=1))), a=int)


@functools.partial(flow_of, on_failure=clean)
def cleaned(a: int) -> int:
    return add(a=a)


written(
    "overridden",
    int,
    lambda a: add(a=a).with_overrides(node_name="a-name", timeout=timedelta(seconds=1), retries=2),
    a=int,
)
written("greek", int, lambda **inputs: add(a=inputs["η"]), η=int)
written("french", int, lambda **inputs: add(a=inputs["modèle"]), modèle=int)
