"""The examples in docstrings run, and show what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import flyteoptuna

PACKAGE = Path(flyteoptuna.__file__).parent
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text()]


def module_name(path):
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))


@pytest.mark.parametrize("name", [module_name(path) for path in MODULES])
def test_the_examples_of_a_module_run(name):
    """Each call returns what stands below it."""
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted and not results.failed


def test_what_users_call_first_has_an_example():
    """Suggestions and the running trial."""
    found = {module_name(path) for path in MODULES}
    assert {"flyteoptuna.suggest", "flyteoptuna.trial.current_trial", "flyteoptuna.values.text"} <= found
