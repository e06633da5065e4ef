"""Load a task as a trial's pod does, and print what that took: ``load_trial.py PLUGIN RESOLVER ARGUMENT...``

PLUGIN is ``yes`` where this package's entry point, which flytekit loads as it is imported, is to count as well.
"""

import importlib.metadata
import json
import sys
import time

find = importlib.metadata.entry_points


def without_flyteoptuna(**given):  # type: ignore[no-untyped-def]
    """The entry points, without that of this package."""
    found = find(**given)
    return [e for e in found if e.name != "flyteoptuna"] if given.get("group") == "flytekit.plugins" else found


importlib.metadata.entry_points = without_flyteoptuna
# The pod's command has imported this already.
from flytekit.bin import entrypoint  # noqa: E402, F401
from flytekit.tools.module_loader import load_object_from_module  # noqa: E402

plugin, resolver, *arguments = sys.argv[1:]
known = set(sys.modules)
start = time.perf_counter()
if plugin == "yes":
    import flyteoptuna.plugin  # noqa: F401
task = load_object_from_module(resolver).load_task(loader_args=arguments)
seconds = time.perf_counter() - start
new = sorted(set(sys.modules) - known)
heavy = [name for name in ("optuna", "numpy", "pandas", "plotly", "sqlalchemy") if name in new]
print(json.dumps({"seconds": seconds, "task": task.name, "new": new, "heavy": heavy}))
