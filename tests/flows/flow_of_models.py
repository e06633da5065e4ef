"""An objective whose model tells which heavy packages its pod has imported, in a module that imports none."""

import json
import sys
import tempfile
from pathlib import Path

import flytekit as fl
from flytekit.types.file import FlyteFile

from flyteoptuna import Optimizer, suggest


@fl.task
def train(x: float) -> tuple[float, FlyteFile]:
    file = Path(tempfile.mkdtemp()) / "model.json"
    file.write_text(json.dumps(sorted({"optuna", "numpy", "plotly"} & sys.modules.keys())))
    return x, FlyteFile(str(file))


@fl.workflow
def imported() -> FlyteFile:
    optimizer = Optimizer(train, 1, 1)
    optimizer(x=suggest.float(0, 1))
    return optimizer.best.o1
