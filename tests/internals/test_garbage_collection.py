"""The garbage collector is paused and relieved."""

import gc

import pytest

from flyteoptuna.internals.garbage_collection import exempt_existing_objects, paused_collection


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_paused_and_afterwards_as_before(enabled):
    """Where it fails too, and where it was off already."""
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ValueError, match="no"), paused_collection(), paused_collection():
            assert not gc.isenabled()
            raise ValueError("no")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_objects_that_exist_are_not_looked_through_again():
    """They are in no generation of the collector's."""
    held = [[] for _ in range(1000)]
    try:
        exempt_existing_objects()
        assert gc.get_freeze_count() >= len(held)
        assert not any(each is held for each in gc.get_objects())
    finally:
        gc.unfreeze()
