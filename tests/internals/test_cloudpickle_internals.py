"""Classes that this process has made are not overwritten by a pickle of them."""

import cloudpickle
import pytest

from flyteoptuna.internals.cloudpickle_internals import unpickle


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
    tracker = pytest.importorskip("cloudpickle.cloudpickle")._DYNAMIC_CLASS_TRACKER_BY_ID
    kind = made(1)
    first = cloudpickle.dumps(kind())
    kind.limit = 2
    second = cloudpickle.dumps(kind())
    (name,) = [name for name, known in tracker.items() if known is kind]
    del tracker[name]
    assert type(unpickle(first)).limit == 1
    loaded = type(unpickle(second))
    assert (loaded.limit, tracker[name]) == (2, loaded)
