"""Time ``import flytekit``, which loads the entry points of the plugins that are installed."""

import importlib.metadata
import json
import sys
import time

if sys.argv[1] == "without":
    find = importlib.metadata.entry_points

    def others(**given):  # type: ignore[no-untyped-def]
        """The entry points, without those of flyteoptuna."""
        return [e for e in find(**given) if "flyteoptuna" not in e.value]

    importlib.metadata.entry_points = others  # type: ignore[assignment]
start = time.perf_counter()
import flytekit  # noqa: E402, F401

seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
