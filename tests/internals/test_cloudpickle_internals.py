"""Classes that this process has made are not overwritten by their pickles, and stand for those of another process."""

import copy
import dataclasses
import enum
import pickle
import sys
from types import ModuleType

import cloudpickle
import pytest
from cloudpickle.cloudpickle import _DYNAMIC_CLASS_TRACKER_BY_ID

from flyteoptuna.internals import cloudpickle_internals
from flyteoptuna.internals.cloudpickle_internals import (
    adopt_class,
    adopt_loaded_classes,
    class_identifier,
    fill_class,
    protect_readers,
    unpickle,
)


def made(limit):
    """A class that cloudpickle pickles by value, and one of its objects."""

    class Made:
        pass

    Made.limit = limit
    return Made


def test_a_class_of_this_process_stays_as_it_is():
    """Cloudpickle itself puts back what the class had when it was pickled."""
    kind = made(1)
    data = cloudpickle.dumps(kind())
    kind.limit = 2
    loaded = unpickle(data)
    assert (type(loaded), type(loaded).limit) == (kind, 2)
    cloudpickle.loads(data)
    assert kind.limit == 1


def test_a_class_from_elsewhere_is_filled_each_time():
    """As its process may have changed it since."""
    tracker = _DYNAMIC_CLASS_TRACKER_BY_ID
    kind = made(1)
    first = cloudpickle.dumps(kind())
    kind.limit = 2
    second = cloudpickle.dumps(kind())
    (name,) = [name for name, known in tracker.items() if known is kind]
    del tracker[name]
    assert type(unpickle(first)).limit == 1
    loaded = type(unpickle(second))
    assert (loaded.limit, tracker[name]) == (2, loaded)


@pytest.fixture
def by_value(monkeypatch):
    """A module whose classes are pickled by value, as those of a script are."""
    module = ModuleType("of_a_script")
    monkeypatch.setitem(sys.modules, "of_a_script", module)
    cloudpickle.register_pickle_by_value(module)
    yield module
    cloudpickle.unregister_pickle_by_value(module)


def define(module, **attributes):
    """A class at the top of a module, with a method that reads a global of this test's module."""
    kind = type("Defined", (), {"__module__": module.__name__, "method": lambda self: sys, **attributes})
    kind.__qualname__ = "Defined"
    module.Defined = kind
    return kind


def of_another_process(kind, **attributes):
    """A pickle of a class of the same name in another process, and the identifier that it has there."""
    other = type("Defined", (), {**{k: v for k, v in vars(kind).items() if k != "__dict__"}, **attributes})
    data = cloudpickle.dumps(other())
    identifier = class_identifier(other)
    # This process has not seen that class.
    del _DYNAMIC_CLASS_TRACKER_BY_ID[identifier]
    return data, identifier


@pytest.mark.parametrize("load", [unpickle, cloudpickle.loads])
def test_an_adopted_class_is_the_class_of_the_other_process(by_value, monkeypatch, load):
    """It takes over its data; its methods stay those of this process."""
    monkeypatch.setattr(cloudpickle_internals._setters, "_class_setstate", fill_class)
    kind = define(by_value, limit=1)
    method = kind.method
    data, identifier = of_another_process(kind, limit=2, method=lambda self: None)
    adopt_class(kind, identifier)
    assert type(load(data)) is kind
    assert (kind.limit, kind.method, class_identifier(kind)) == (2, method, identifier)


@pytest.mark.parametrize("load", [unpickle, cloudpickle.loads])
def test_a_protected_pickle_leaves_the_classes_of_its_readers_alone(by_value, monkeypatch, load):
    """Those that a module of the reader defines; another reader gets all of the class."""
    monkeypatch.setattr(cloudpickle_internals._setters, "_class_setstate", cloudpickle_internals._fill_always)
    kind = define(by_value, limit=1)
    protect_readers()
    data, identifier = of_another_process(kind, limit=2)
    elsewhere = type(load(data))
    assert (elsewhere.limit, elsewhere is kind) == (2, False)
    del _DYNAMIC_CLASS_TRACKER_BY_ID[identifier]
    _DYNAMIC_CLASS_TRACKER_BY_ID[identifier] = kind
    assert type(load(data)) is kind and kind.limit == 1


def test_an_adopted_enum_has_its_own_members(by_value, monkeypatch):
    """And objects of the other process are among them."""
    monkeypatch.setattr(cloudpickle_internals._setters, "_class_setstate", fill_class)
    colours = [enum.Enum("Colour", ["RED", "BLUE"], module=by_value.__name__) for _ in range(2)]
    data, identifier = cloudpickle.dumps(colours[0].BLUE), class_identifier(colours[0])
    del _DYNAMIC_CLASS_TRACKER_BY_ID[identifier]
    by_value.Colour = colours[1]
    adopt_class(colours[1], identifier)
    assert cloudpickle.loads(data) is colours[1].BLUE


def test_a_class_that_was_loaded_can_be_adopted_too(by_value):
    """Its methods then stay as its first pickle has brought them."""
    kind = define(by_value, limit=1)
    first, identifier = of_another_process(kind)
    loaded = type(unpickle(first))
    adopt_loaded_classes()
    method = loaded.method
    again, other = of_another_process(kind, limit=2)
    adopt_class(loaded, other)
    assert type(unpickle(again)) is loaded
    assert (loaded.limit, loaded.method) == (2, method)
    assert identifier != other


@pytest.mark.parametrize("name", cloudpickle_internals._SENTINEL_NAMES.values())
@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_sentinel_of_dataclasses_stays_the_same_object(name, dumps):
    """In a pickle and in a copy; the standard library's own pickles copy it."""
    sentinel = getattr(dataclasses, name)
    assert pickle.loads(dumps([sentinel]))[0] is copy.deepcopy(sentinel) is sentinel


def test_no_sentinel_of_dataclasses_is_missed():
    """Cloudpickle itself sees to those that say what a field is, and a later Python may have more."""
    own = [v for v in vars(dataclasses).values() if type(v).__module__ == "dataclasses" and not isinstance(v, type)]
    assert len(own) > len(cloudpickle_internals._SENTINEL_NAMES)
    assert [v for v in own if cloudpickle.loads(cloudpickle.dumps(v)) is not v] == []


def test_the_fields_of_a_class_from_elsewhere_have_their_defaults():
    """And none where they had none."""

    @dataclasses.dataclass
    class Config:
        depth: int
        name: str = "a"
        many: list = dataclasses.field(default_factory=list)

    data, identifier = cloudpickle.dumps(Config), class_identifier(Config)
    del _DYNAMIC_CLASS_TRACKER_BY_ID[identifier]
    loaded = unpickle(data)
    assert loaded is not Config
    missing = dataclasses.MISSING
    assert [f.default for f in dataclasses.fields(loaded)] == [missing, "a", missing]
    assert [f.default_factory for f in dataclasses.fields(loaded)] == [missing, missing, list]
    assert loaded(1) == dataclasses.replace(loaded(2), depth=1)
