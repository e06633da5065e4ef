"""What is known of a promise while a workflow is written: whether it is one, and of which Flyte type."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flytekit.core.promise import Promise
from flytekit.models.literals import Literal
from flytekit.models.types import LiteralType, SimpleType

from flyteoptuna.core.refusal_words import ORDERING, Valueless, Words, listed, meant, refusing
from flyteoptuna.flyte.references import plain_of, refer
from flyteoptuna.flyte.types.study_attributes import ATTRIBUTES, OF_ONE_OBJECTIVE, PYTHON_TYPES, STUDY

_WITH_MORE_INSIDE = ("best_params", "best_trials")
_COMPARISONS = {f"__{name}__": symbol for name, symbol in {"eq": "==", "ne": "!=", **ORDERING}.items()}
NONE = "None"
SEVERAL = (
    "A study of several objectives has no best trial, but `best_trials`: a task that takes the study gets the outputs "
    "of each by `flyteoptuna.outputs(study, number)`."
)
_OTHER = "another type"
_BEST = " What the best trial returned beside its value is the optimizer's: `optimizer.best`."
_ALL = "A task that takes `study: optuna.Study` gets all of it."


class StudyPromise(Promise, Valueless):
    """The promise of a search's study. It refuses at once what Flyte would not find once the search has run.

    Args:
        var: as a promise's.
        val: as a promise's.
        literal_type: as a promise's.
        several: whether the study has several objectives.
        names: names of the parameters of each trial; None where they are not known.
        best_output: makes the promise of an output of the best trial, of the output's name; None for a study of several
            objectives.
        attribute: makes the promise of an attribute, of its name; by default that of a field of the study.
    """

    def __init__(
        self,
        var: str,
        val: Any,
        literal_type: LiteralType | None,
        several: bool,
        names: Collection[str] | None = None,
        best_output: Callable[[str], Promise] | None = None,
        attribute: Callable[[str], Promise] | None = None,
    ) -> None:
        super().__init__(var, val, literal_type)
        self._several = several
        self._names = names
        self._best_output = best_output
        self._attribute = attribute or super().__getattr__

    def best_output(self, name: str) -> Promise:
        """The promise of an output of the best trial.

        Raises:
            AttributeError: the study has several objectives.
        """
        if self._best_output is None:
            raise AttributeError(SEVERAL)
        return self._best_output(name)

    def __getattr__(self, key: str) -> Promise:
        if key.startswith("_"):
            raise AttributeError(key)
        if key not in ATTRIBUTES:
            hint = _BEST if key == "best" else meant(key, ATTRIBUTES)
            raise AttributeError(f"A study has no `{key}` in a workflow; it has: {', '.join(ATTRIBUTES)}.{hint} {_ALL}")
        if self._several and key in OF_ONE_OBJECTIVE:
            raise AttributeError(f"A study of several objectives has no `{key}`, but `best_trials`. {_ALL}")
        return _AttributePromise(self._attribute(key), key, self._names)

    def __getitem__(self, key: Any) -> Promise:
        raise TypeError(f"A study has attributes, as `study.best_value`, and no items, but got study[{key!r}].")

    def _stands_for(self) -> str:
        return "A study is known once the search has run: a task that takes `study: optuna.Study` gets all of it"

    __iter__, __bool__ = refusing("iter()"), refusing("bool()")
    is_none = refusing("is_none()")


class _AttributePromise(Promise, Valueless):
    """The promise of an attribute of a study: a number, the parameters by name, or numbers by index.

    Args:
        made: flytekit's promise of it.
        path: the attribute, as it is written.
        names: of the parameters, where it has them and they are known.
    """

    def __init__(self, made: Promise, path: str, names: Collection[str] | None) -> None:
        found = value_at(made) if made.is_ready else None
        if isinstance(found, (bool, int, float, str)):
            # As a backend resolves it: flytekit's local conditional compares no attribute that is not.
            super().__init__(made.var, refer(found, type(found)).literal)
        else:
            super().__init__(made.var, made.val if made.is_ready else made.ref)
            # Flytekit has no way to set it but one step after another.
            self._attr_path = made.attr_path
        self._path = path
        self._names = names

    def __getattr__(self, key: str) -> Promise:
        if key.startswith("_"):
            raise AttributeError(key)
        if self._path != "best_params":
            raise AttributeError(self._wrong(f".{key}"))
        if hasattr(dict, key) and key not in (self._names or ()):
            # By `keys` Python asks for a mapping, and would say that there is none.
            raise (TypeError if key == "keys" else AttributeError)(
                f"`best_params` is no dictionary where a workflow is written, but got `best_params.{key}`: read one as "
                "`best_params[name]`, or give all to a task that takes a `dict`."
            )
        try:
            return self[key]
        except LookupError as error:
            raise AttributeError(*error.args) from None

    def __getitem__(self, key: Any) -> Promise:
        known = f"{self._path}[{key!r}]"
        if self._path == "best_trials":
            if type(key) is not int or key < 0:
                raise TypeError(f"`best_trials` has the numbers of trials, by an index from 0, but got {known}. {_ALL}")
        elif self._path != "best_params":
            raise TypeError(self._wrong(f"[{key!r}]"))
        elif not isinstance(key, str):
            raise TypeError(f"`best_params` has the parameters by their names, but got {known}.")
        elif self._names is None:
            raise TypeError(
                f"Flyte checks a parameter's type when the workflow is registered, and what a callback suggests is not "
                f"known there, but got {known}. Give `best_params` to a task that takes a `dict`."
            )
        elif key not in self._names:
            raise KeyError(
                Words(
                    f"The search has no parameter {key!r}; it has: {listed(sorted(self._names))}."
                    f"{meant(key, self._names)}"
                )
            )
        return _AttributePromise(super().__getitem__(key), known, None)

    def _wrong(self, written: str) -> str:
        number = " It is the number of a trial." if "best_trial" in self._path else ""
        return f"`study.{self._path}` has nothing inside, but got `study.{self._path}{written}`.{number} {_ALL}"

    def _comparable(self, other: Any) -> Any:
        """The other side of a comparison, of the attribute's own type, as Flyte's conditions want it."""
        if self._path not in PYTHON_TYPES:
            raise TypeError(
                f"A conditional can compare a study's numbers, as `study.best_value`, but got `study.{self._path}`: "
                "let a task compare it."
            )
        if type(other) is int and PYTHON_TYPES.get(self._path) is float:
            return float(other)
        if type(other) is float and PYTHON_TYPES.get(self._path) is int:
            raise TypeError(f"`study.{self._path}` is an int, and Flyte compares ints with ints, but got {other!r}.")
        return other

    def _stands_for(self) -> str:
        return f"`study.{self._path}` is known once the search has run: give it to a task, which gets the value"

    __iter__, __bool__ = refusing("iter()"), refusing("bool()")
    is_none = refusing("is_none()")


def _comparing(name: str, symbol: str) -> Callable[[Any, Any], Any]:
    refuse = refusing(symbol)

    def compare(self: _AttributePromise, other: Any) -> Any:
        if self._path in _WITH_MORE_INSIDE:
            refuse(self)
        return getattr(Promise, name)(self, self._comparable(other))

    return compare


for _name, _symbol in _COMPARISONS.items():
    setattr(StudyPromise, _name, refusing(_symbol))
    setattr(_AttributePromise, _name, _comparing(_name, _symbol))


def anywhere(value: Any) -> bool:
    """Whether a value is a promise, or a list or a dictionary that holds one."""
    if isinstance(value, Mapping):
        return any(anywhere(inner) for inner in value.values())
    return isinstance(value, Promise) or (isinstance(value, (list, tuple)) and any(anywhere(v) for v in value))


def copied(value: Any) -> Any:
    """A value with copies of its promises: flytekit writes what a field or an item is into the promise of it."""
    if isinstance(value, Promise):
        return value.deepcopy() if value.attr_path else value
    if isinstance(value, (list, tuple)) and anywhere(value):
        return type(value)(map(copied, value))
    return {key: copied(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def literal_type(promise: Promise) -> LiteralType | None:
    """The Flyte type of a promise; None where only the backend knows it, as of a workflow's inputs."""
    if promise.is_ready or promise.ref is None or not promise.ref.node_id:
        return None
    interface = getattr(promise.ref.node.flyte_entity, "interface", None)
    if interface is None or promise.ref.var not in interface.outputs:
        return None
    found: LiteralType | None = interface.outputs[promise.ref.var].type
    for step in promise.ref.attr_path or ():
        if found is None:
            return None
        fields = (found.structure.dataclass_type or {}) if found.structure is not None else {}
        found = found.collection_type or found.map_value_type or fields.get(step)
    return found


def sure(value: Any) -> bool:
    """Whether a value is known not to be a promise of None."""
    if not isinstance(value, Promise):
        return True
    found = literal_type(value)
    return found is not None and NONE not in _of_type(found)


_NAMES = {
    SimpleType.INTEGER: "int",
    SimpleType.FLOAT: "float",
    SimpleType.STRING: "str",
    SimpleType.BOOLEAN: "bool",
    SimpleType.NONE: NONE,
}


def _of_type(found: LiteralType) -> list[str]:
    """Names of the types that the values of a Flyte type have."""
    if found.union_type is not None:
        return [kind for variant in found.union_type.variants for kind in _of_type(variant)]
    if found.structure is not None and found.structure.tag == STUDY:
        return [STUDY]
    return [_NAMES.get(found.simple, _OTHER)]


def value_at(promise: Promise) -> Any:
    """What a promise has in a local run, at the field or the item that it stands for.

    Returns:
        The plain value of a primitive, of None and of what a struct holds; a literal of anything else.

    Raises:
        LookupError: there is no such field or item.
    """
    value = plain_of(promise.val)
    for step in promise.attr_path:
        items = (value.map or value.collection).literals if isinstance(value, Literal) else value
        try:
            value = plain_of(items[step])
        except (LookupError, TypeError, AttributeError):
            path = "".join(f"[{each!r}]" for each in promise.attr_path)
            raise LookupError(f"The promise `{promise.var}{path}` has no {step!r}.") from None
    return value


def _of_value(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, dict):
        return STUDY if value.keys() & {"_data", "_path"} else _OTHER
    return type(value).__name__ if isinstance(value, (bool, int, float, str)) else _OTHER


def check(name: str, promise: Promise, wanted: str, *, optional: bool = False) -> None:
    """Refuse a promise that is known not to be one of the wanted type.

    Args:
        name: the argument that it was passed for.
        promise: the promise.
        wanted: ``int``, ``float`` or :data:`STUDY`.
        optional: whether it may be a promise of None too.

    Raises:
        TypeError: it is of another type.
        LookupError: its value has no such field or item.
    """
    if promise.is_ready:
        kinds = [_of_value(value_at(promise))]
        if not promise.attr_path and promise.val.scalar is not None and promise.val.scalar.union is not None:
            # Flyte refuses what may be None where None is not allowed, whatever it turns out to be.
            kinds.append(NONE)
        # A float in a struct may be whole, and is an int there.
        whole = wanted == "float" and kinds == ["int"] and bool(promise.attr_path)
    else:
        found = literal_type(promise)
        kinds, whole = [] if found is None else _of_type(found), False
    if whole or set(kinds) <= {wanted, *([NONE] if optional else [])}:
        return
    kind = " or ".join(dict.fromkeys(kinds))
    hint = " Annotate the workflow's input as float." if (wanted, kind) == ("float", "int") else ""
    raise TypeError(f"`{name}` must be of type {wanted} or a promise of it, but got a promise of {kind}.{hint}")
