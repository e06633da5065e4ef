"""Promises of a study and its attributes; Flyte types and local values of any promise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from flytekit.core.promise import ComparisonExpression, ComparisonOps, Promise
from flytekit.models.literals import Literal
from flytekit.models.types import LiteralType, SimpleType

from flyteoptuna.flyte.references import literal_value, to_reference
from flyteoptuna.flyte.search_nodes import refuse_overrides
from flyteoptuna.flyte.types.study_attributes import (
    ATTRIBUTES,
    DICTIONARIES,
    OF_ONE_OBJECTIVE,
    PYTHON_TYPES,
    STUDY_TAG,
)
from flyteoptuna.values.did_you_mean import PlainMessage, did_you_mean, join_names
from flyteoptuna.values.no_value import ORDER_OPERATORS, NoValue, refuse_operator

_NONE = "None"
_refuse_right_shift = refuse_operator(">>")
NO_BEST_TRIAL = (
    "A study of several objectives has no best trial, but `best_trials`: a task that takes the study gets the outputs "
    "of each by `flyteoptuna.outputs(study, number)`."
)
_OTHER = "another type"
_BEST_HINT = " What the best trial returned beside its value is the optimizer's: `optimizer.best`."
_ALL = "A task that takes `study: optuna.Study` gets all of it."


def _run_before(promise: NoValue, other: Any) -> Any:
    """``other >> promise``, for which Python asks a subclass of ``Promise`` first."""
    return other.__rshift__(promise) if isinstance(other, Promise) else _refuse_right_shift(promise)


class _SearchPromise(Promise, NoValue):
    """Promise of a search. It has a name to print, and is refused in an f-string, whose text would be passed on."""

    def _name(self) -> str:
        """The promise, as written in code."""
        raise NotImplementedError

    def _stands_for(self) -> str:
        return f"`{self._name()}` is known once the search has run: give it to a task, which gets the value"

    def __repr__(self) -> str:
        return f"<promise of {self._name()}>"

    def __format__(self, spec: str) -> str:
        raise TypeError(
            f"{self._stands_for()}, but got {f'a format, `{spec}`' if spec else 'an f-string or a format'}."
        )

    # In a local run too, where flytekit ignores them.
    with_overrides = refuse_overrides
    __rrshift__ = _run_before


class StudyPromise(_SearchPromise):
    """Promise of a study. It refuses at once an attribute that Flyte would not find after the search.

    ``names`` are those of the parameters of each trial; None if they are unknown. ``best_output`` makes the promise of
    an output of the best trial, of its name; None for several objectives. ``attribute`` makes the promise of an
    attribute, of its name. Default: a field of the study. ``inputs`` are the names of the inputs that differ from trial
    to trial, and ``best_input`` makes the promise of such an input of the best trial.
    """

    def __init__(
        self,
        var: str,
        val: Any,
        literal_type: LiteralType | None,
        names: Collection[str] | None = None,
        best_output: Callable[[str], Promise] | None = None,
        attribute: Callable[[str], Promise] | None = None,
        inputs: Collection[str] = (),
        best_input: Callable[[str], Promise] | None = None,
    ) -> None:
        super().__init__(var, val, literal_type)
        self._names = names
        self._inputs, self._best_input = inputs, best_input
        self._best_output = best_output
        self._attribute = attribute or super().__getattr__

    def best_output(self, name: str) -> Promise:
        """Promise of an output of the best trial; ``AttributeError`` for a study of several objectives."""
        if self._best_output is None:
            raise AttributeError(NO_BEST_TRIAL)
        return _OutputPromise(self._best_output(name), f"best.{name}")

    def __getattr__(self, key: str) -> Promise:
        if key.startswith("_"):
            raise AttributeError(key)
        if key not in ATTRIBUTES:
            hint = _BEST_HINT if key == "best" else did_you_mean(key, ATTRIBUTES)
            raise AttributeError(f"A study has no `{key}` in a workflow; it has: {', '.join(ATTRIBUTES)}.{hint} {_ALL}")
        if self._best_output is None and key in OF_ONE_OBJECTIVE:
            raise AttributeError(f"A study of several objectives has no `{key}`, but `best_trials`. {_ALL}")
        if key == "best_inputs" and self._best_input is not None:
            return _InputsPromise(self._attribute(key), self._inputs, self._best_input)
        return _AttributePromise(self._attribute(key), key, self._names)

    def __getitem__(self, key: Any) -> Promise:
        raise TypeError(f"A study has attributes, as `study.best_value`, and no items, but got study[{key!r}].")

    def _name(self) -> str:
        return "a study"

    def _stands_for(self) -> str:
        return "A study is known once the search has run: a task that takes `study: optuna.Study` gets all of it"

    __iter__, __bool__ = refuse_operator("iter()"), refuse_operator("bool()")
    is_none = refuse_operator("is_none()")


def _value_or_reference(promise: Promise) -> Any:
    """Second argument of the constructor of another promise of the same value."""
    return promise.val if promise.is_ready else promise.ref


class _OutputPromise(_SearchPromise):
    """Promise of an output of the best trial, or of a part of it."""

    def __init__(self, promise: Promise, path: str) -> None:
        super().__init__(promise.var, _value_or_reference(promise))
        self.attr_path.extend(promise.attr_path)
        self._path = path  # as written in code

    def __getattr__(self, key: str) -> Promise:
        if key.startswith("_"):
            raise AttributeError(key)
        return _OutputPromise(super().__getattr__(key), f"{self._path}.{key}")

    def __getitem__(self, key: Any) -> Promise:
        return _OutputPromise(super().__getitem__(key), f"{self._path}[{key!r}]")

    def _name(self) -> str:
        return self._path


class _AttributePromise(_SearchPromise):
    """Promise of an attribute of a study: a number, parameters by name, or trial numbers by index."""

    _kind = "parameter"

    def __init__(self, promise: Promise, path: str, names: Collection[str] | None) -> None:
        value = promise_value(promise) if promise.is_ready else None
        if isinstance(value, (bool, int, float, str)):
            # Resolved here, because a local conditional of flytekit compares whole values alone.
            super().__init__(promise.var, to_reference(value, type(value)).literal)
        else:
            super().__init__(promise.var, _value_or_reference(promise))
            self.attr_path.extend(promise.attr_path)
        self._path = path  # as written in code
        self._names = names  # of the parameters, if the attribute has them and they are known

    def __getattr__(self, key: str) -> Promise:
        if key.startswith("_"):
            raise AttributeError(key)
        if self._path not in DICTIONARIES:
            raise AttributeError(self._no_item_message(f".{key}"))
        if hasattr(dict, key) and key not in (self._names or ()):
            # Python looks for `keys` in `**best_params`, and hides an AttributeError.
            raise (TypeError if key == "keys" else AttributeError)(
                f"`{self._path}` is no dictionary where a workflow is written, but got `{self._path}.{key}`: read one "
                f"as `{self._path}[name]`, or give all to a task that takes a `dict`."
            )
        try:
            return self[key]
        except LookupError as error:
            raise AttributeError(*error.args) from None

    def __getitem__(self, key: Any) -> Promise:
        path = f"{self._path}[{key!r}]"
        if self._path == "best_trials":
            if type(key) is not int or key < 0:
                raise TypeError(f"`best_trials` has the numbers of trials, by an index from 0, but got {path}. {_ALL}")
        elif self._path not in DICTIONARIES:
            raise TypeError(self._no_item_message(f"[{key!r}]"))
        elif not isinstance(key, str):
            raise TypeError(f"`{self._path}` has the {self._kind}s by their names, but got {path}.")
        elif self._names is None:
            raise TypeError(
                f"Flyte checks a parameter's type when the workflow is registered, and what a callback suggests is not "
                f"known there, but got {path}. Give `best_params` to a task that takes a `dict`."
            )
        elif key not in self._names:
            raise KeyError(
                PlainMessage(
                    f"The search has no {self._kind} {key!r}; it has: {join_names(sorted(self._names))}."
                    f"{did_you_mean(key, self._names)}"
                )
            )
        return self._item(key, path)

    def _item(self, key: Any, path: str) -> Promise:
        return _AttributePromise(super().__getitem__(key), path, None)

    def _no_item_message(self, written: str) -> str:
        number = " It is the number of a trial." if "best_trial" in self._path else ""
        return f"`study.{self._path}` has nothing inside, but got `study.{self._path}{written}`.{number} {_ALL}"

    def _name(self) -> str:
        return f"study.{self._path}"

    __iter__, __bool__ = refuse_operator("iter()"), refuse_operator("bool()")
    is_none = refuse_operator("is_none()")


class _InputsPromise(_AttributePromise):
    """Promise of the best trial's inputs. Each is a promise of the objective's own type."""

    _kind = "varied input"

    def __init__(self, promise: Promise, names: Collection[str], best_input: Callable[[str], Promise]) -> None:
        super().__init__(promise, "best_inputs", names)
        self._best_input = best_input

    def _item(self, key: Any, path: str) -> Promise:
        return _OutputPromise(self._best_input(key), f"study.{path}")


class _Comparison(ComparisonExpression):
    """Comparison of a study's number, for a conditional of Flyte."""

    def __repr__(self) -> str:
        return f"{self.lhs!r} {self.op.value} {self.rhs!r}"

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "A comparison is decided once the search has run: give it to `fl.conditional(...).if_(...)`, and join "
            f"several by `&` and `|`, but got the truth value of {self!r}."
        )


def _comparison(symbol: str) -> Callable[[Any, Any], Any]:
    refuse = refuse_operator(symbol)

    def compare(self: _AttributePromise, other: Any) -> Any:
        if self._path in (*DICTIONARIES, "best_trials"):
            refuse(self)
        # Flyte requires operands of the same type.
        kind = PYTHON_TYPES.get(self._path)
        if kind is None:
            raise TypeError(
                f"A conditional can compare a study's numbers, as `study.best_value`, but got `study.{self._path}`: "
                "let a task compare it."
            )
        if type(other) is float and kind is int:
            raise TypeError(f"`study.{self._path}` is an int, and Flyte compares ints with ints, but got {other!r}.")
        operand = float(other) if type(other) is int and kind is float else other
        return _Comparison(self, ComparisonOps(symbol), operand)

    return compare


for _name, _symbol in {"eq": "==", "ne": "!=", **ORDER_OPERATORS}.items():
    setattr(StudyPromise, f"__{_name}__", refuse_operator(_symbol))
    setattr(_AttributePromise, f"__{_name}__", _comparison(_symbol))


def contains_promise(value: Any) -> bool:
    """Test whether a value is a promise, or a list or a dictionary with one inside."""
    if isinstance(value, Mapping):
        return any(contains_promise(inner) for inner in value.values())
    return isinstance(value, Promise) or (isinstance(value, (list, tuple)) and any(contains_promise(v) for v in value))


def copy_promises(value: Any) -> Any:
    """Copy the promises in a value, because flytekit writes the value of a field or an item into its promise."""
    if isinstance(value, Promise):
        return value.deepcopy() if value.attr_path else value
    if isinstance(value, (list, tuple)) and contains_promise(value):
        return type(value)(map(copy_promises, value))
    return {key: copy_promises(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def promise_literal_type(promise: Promise) -> LiteralType | None:
    """Flyte type of a promise; None if only the backend knows it, as for an input of a workflow."""
    if promise.is_ready or promise.ref is None or not promise.ref.node_id:
        return None
    interface = getattr(promise.ref.node.flyte_entity, "interface", None)
    if interface is None or promise.ref.var not in interface.outputs:
        return None
    kind: LiteralType | None = interface.outputs[promise.ref.var].type
    for step in promise.ref.attr_path or ():
        if kind is None:
            return None
        fields = (kind.structure.dataclass_type or {}) if kind.structure is not None else {}
        kind = kind.collection_type or kind.map_value_type or fields.get(step)
    return kind


def is_never_none(value: Any) -> bool:
    """Test whether a value cannot be a promise of None: a plain value, or a promise of a type without None."""
    if not isinstance(value, Promise):
        return True
    kind = promise_literal_type(value)
    return kind is not None and _NONE not in _flyte_type_names(kind)


_NAMES = {
    SimpleType.INTEGER: "int",
    SimpleType.FLOAT: "float",
    SimpleType.STRING: "str",
    SimpleType.BOOLEAN: "bool",
    SimpleType.NONE: _NONE,
}


def _flyte_type_names(kind: LiteralType) -> list[str]:
    if kind.union_type is not None:
        return [name for variant in kind.union_type.variants for name in _flyte_type_names(variant)]
    if kind.structure is not None and kind.structure.tag == STUDY_TAG:
        return [STUDY_TAG]
    return [_NAMES.get(kind.simple, _OTHER)]


def promise_value(promise: Promise) -> Any:
    """Value of a promise in a local run, at the promise's field or item; ``LookupError`` if there is no such one.

    A primitive, None and the content of a struct are Python values; any other type stays a literal.
    """
    value = literal_value(promise.val)
    for step in promise.attr_path:
        items = (value.map or value.collection).literals if isinstance(value, Literal) else value
        try:
            value = literal_value(items[step])
        except (LookupError, TypeError, AttributeError):
            path = "".join(f"[{each!r}]" for each in promise.attr_path)
            raise LookupError(f"The promise `{promise.var}{path}` has no {step!r}.") from None
    return value


def _value_type_name(value: Any) -> str:
    if value is None:
        return _NONE
    if isinstance(value, dict):
        return STUDY_TAG if value.keys() & {"_data", "_path"} else _OTHER
    return type(value).__name__ if isinstance(value, (bool, int, float, str)) else _OTHER


def check_promise_type(name: str, promise: Promise, wanted: str, *, optional: bool = False) -> None:
    """Refuse a promise, given as the argument ``name``, that is certainly of another type than ``wanted``.

    ``wanted`` is the name of a primitive type, or ``STUDY_TAG``; with ``optional``, None is allowed too.
    """
    if promise.is_ready:
        kinds = [_value_type_name(promise_value(promise))]
        if not promise.attr_path and promise.val.scalar is not None and promise.val.scalar.union is not None:
            # Flyte refuses an optional value where None is not allowed, whatever the value is.
            kinds.append(_NONE)
        # In a struct, a float without a fraction is an int.
        whole = wanted == "float" and kinds == ["int"] and bool(promise.attr_path)
    else:
        literal_type = promise_literal_type(promise)
        kinds, whole = [] if literal_type is None else _flyte_type_names(literal_type), False
    if whole or set(kinds) <= {wanted, *([_NONE] if optional else [])}:
        return
    kind = " or ".join(dict.fromkeys(kinds))
    hint = " Annotate the workflow's input as float." if (wanted, kind) == ("float", "int") else ""
    raise TypeError(f"`{name}` must be of type {wanted} or a promise of it, but got a promise of {kind}.{hint}")
