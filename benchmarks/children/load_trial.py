"""Load a task as a trial's pod does, and print what that took: ``load_trial.py RESOLVER ARGUMENT...``"""

import importlib
import json
import sys
import time

from flytekit.bin import entrypoint  # noqa: F401  (what the pod's command has imported already)
from flytekit.core.context_manager import FlyteContextManager
from flytekit.tools.module_loader import load_object_from_module

known = set(sys.modules)
start = time.perf_counter()
with FlyteContextManager.with_context(FlyteContextManager.current_context()):
    resolver = load_object_from_module(sys.argv[1])
    task = resolver.load_task(loader_args=sys.argv[2:])
seconds = time.perf_counter() - start
new = sorted(set(sys.modules) - known)
heavy = [name for name in ("optuna", "numpy", "pandas", "plotly", "joblib", "sqlalchemy") if name in sys.modules]
importlib.invalidate_caches()
print(json.dumps({"seconds": seconds, "task": task.name, "new": new, "heavy": heavy}))
