"""Optuna's own kind of objective, which suggests and computes in one function, split into what a search takes."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# Names in a search, and types of inputs, by Optuna's methods.
_FLOAT, _INTEGER = ("suggest.float", "float"), ("suggest.integer", "int")
_SUGGESTIONS = {
    "suggest_float": _FLOAT,
    "suggest_int": _INTEGER,
    "suggest_categorical": ("suggest.category", "str"),
    **dict.fromkeys(("suggest_uniform", "suggest_loguniform", "suggest_discrete_uniform"), _FLOAT),
}
# Code that may run once, never or several times.
_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.BoolOp, ast.comprehension, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class _Suggested:
    """A call of one of Optuna's suggestions: as it stands in the code, and as a suggestion of a search."""

    name: str  # of the parameter; empty if it is not a constant
    variable: str  # that gets the value
    type: str
    call: str
    suggestion: str
    branched: bool  # in a branch or a loop
    fixed: bool  # made by every trial, from constants


def split_hint(origin: Any) -> str:
    """Say how to split an objective of Optuna's own kind, in code; empty if the object suggests nothing."""
    node = _function_node(_plain_function(origin))
    if node is None or not (trial := _trial_parameter(node)):
        return ""
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and each.id == trial:
            each.id = "trial"
        elif isinstance(each, ast.arg) and each.arg == trial:
            each.arg = "trial"
    found = list(_suggested(node, "trial"))
    given = [arg for arg in _parameters(node) if arg.arg not in ("trial", "self", "cls")]
    name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""
    name = "objective" if name in ("", "__call__") else name
    if all(each.fixed and each.name.isidentifier() for each in found):
        code = _as_task(name, node, {each.name: each for each in found}, given)
    else:
        code = _as_callback(name, node, {each.variable: each for each in found}, given)
    return (
        f"`{name}` suggests and computes in one function, as Optuna's own objectives do, but a search runs a task for "
        f"each trial. Split it:\n\n{textwrap.indent(code, '    ')}\n"
    )


def _as_task(name: str, node: Any, known: dict[str, _Suggested], given: list[ast.arg]) -> str:
    inputs = [f"{each.name}={each.suggestion}" for each in known.values()] + [f"{arg.arg}=..." for arg in given]
    return f"{_task(name, node, known, given)}\n\nOptimizer({name}, ...)({', '.join(inputs)})"


def _as_callback(name: str, node: Any, known: dict[str, _Suggested], given: list[ast.arg]) -> str:
    parameters = ", ".join(["trial: optuna.Trial", *map(_typed, given)])
    lines = [f"    {variable} = {each.call}" for variable, each in known.items() if not each.branched]
    if others := [variable for variable, each in known.items() if each.branched]:
        lines.append(f"    ...  # as now: {', '.join(others)}")
    inputs = ", ".join(f"{each}={each}" for each in (*known, *(arg.arg for arg in given)))
    lines.append(f"    return {name}_task({inputs})")
    return "\n".join(
        [_task(f"{name}_task", node, known, given), "", "@optimize(...)", f"def {name}({parameters}):", *lines]
    )


def _task(name: str, node: Any, known: dict[str, _Suggested], given: list[ast.arg]) -> str:
    inputs = ", ".join([*(f"{name}: {each.type}" for name, each in known.items()), *map(_typed, given)])
    returns = getattr(node, "returns", None)
    values = ast.unparse(returns) if returns is not None and "float" in ast.unparse(returns) else "float"
    return f"@fl.task\ndef {name}({inputs}) -> {values}:\n    ..."


def _typed(arg: ast.arg) -> str:
    return f"{arg.arg}: {'...' if arg.annotation is None else ast.unparse(arg.annotation)}"


def _plain_function(origin: Any) -> Any:
    """Function that a task, a partial, a method or an object calls."""
    origin = getattr(origin, "task_function", origin)
    while isinstance(origin, functools.partial):
        origin = origin.func
    origin = inspect.unwrap(getattr(origin, "__func__", origin))
    return origin if inspect.isfunction(origin) else getattr(origin, "__call__", None)  # noqa: B004


def _function_node(function: Any) -> Any:
    """Syntax tree of a function; None if its source is unknown, or cannot be parsed alone."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        if getattr(function, "__name__", "") == "<lambda>":
            return _lambda_node(source)
        return next((node for node in ast.walk(ast.parse(source)) if isinstance(node, _FUNCTIONS)), None)
    except (OSError, TypeError, ValueError, SyntaxError):
        return None


def _lambda_node(source: str) -> Any:
    """Syntax tree of the first lambda in its lines, which may be part of other code."""
    for match in re.finditer(r"\blambda\b", source):
        for end in range(len(source), match.end(), -1):
            with suppress(SyntaxError):
                nodes = ast.walk(ast.parse(source[match.start() : end], mode="eval"))
                return next(node for node in nodes if isinstance(node, ast.Lambda))
    return None


def _parameters(node: Any) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _trial_parameter(node: Any) -> str:
    """Name of the parameter that the function suggests by; empty if there is none."""
    names = [arg.arg for arg in _parameters(node)]
    return next((name for name in names if next(_suggested(node, name), None) is not None), "")


def _suggested(node: Any, trial: str) -> Iterator[_Suggested]:
    """Calls of a trial's suggestions in a function."""
    own = {arg.arg for arg in _parameters(node)}
    own |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    variables = {
        id(each.value): each.targets[0].id
        for each in ast.walk(node)
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
    }
    for call, branched in _calls(node, branched=False):
        owner, _, method = ast.unparse(call.func).rpartition(".")
        if owner == trial and method in _SUGGESTIONS:
            yield _one_suggested(call, method, variables.get(id(call), ""), own, branched=branched)


def _one_suggested(call: ast.Call, method: str, variable: str, own: set[str], *, branched: bool) -> _Suggested:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    first = call.args[0] if call.args else given.get("name")
    name = str(first.value) if isinstance(first, ast.Constant) else ""
    variable = variable or re.sub(r"^(?=\d)|\W+", "_", name) or "value"
    suggestion, kind = _SUGGESTIONS[method]
    arguments = [ast.unparse(arg) for arg in call.args[1:]]
    arguments += [f"{key}={ast.unparse(value)}" for key, value in given.items() if key != "name"]
    arguments += ["log=True"] if method == "suggest_loguniform" else []
    values = (*call.args, *given.values())
    names = {each.id for value in values for each in ast.walk(value) if isinstance(each, ast.Name)}
    fixed = bool(name) and not branched and not names & own
    kind = _choice_types(call) if method == "suggest_categorical" else kind
    written = f"{suggestion}({', '.join(arguments)})"
    return _Suggested(name, variable, kind, ast.unparse(call), written, branched, fixed)


def _choice_types(call: ast.Call) -> str:
    choices = next((each for each in ast.walk(call) if isinstance(each, ast.List | ast.Tuple)), None)
    constants = [each.value for each in choices.elts if isinstance(each, ast.Constant)] if choices else []
    names = dict.fromkeys("None" if value is None else type(value).__name__ for value in constants)
    return " | ".join(name for name in names if name == "None" or hasattr(builtins, name)) or "str"


def _calls(node: ast.AST, *, branched: bool) -> Iterator[tuple[ast.Call, bool]]:
    """Calls in a function in their order, and whether each stands in a branch or a loop."""
    for child in ast.iter_child_nodes(node):
        inside = branched or isinstance(child, (*_BRANCHES, *_FUNCTIONS, *_LOOPS))
        if isinstance(child, ast.Call):
            yield child, inside
        yield from _calls(child, branched=inside)
