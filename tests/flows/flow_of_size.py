"""A thousand trials of ten parameters in one batch."""

import flytekit as fl

from flyteoptuna import Optimizer, suggest


@fl.task
def objective(params: dict[str, float], word: str) -> float:
    return sum(params.values())


PARAMS = {f"parameter_{i}": suggest.float(0, 1) for i in range(9)}


@fl.workflow
def wide() -> float:
    study = Optimizer(objective, 100, 1000, batch_size=1000)(
        params=PARAMS, word=suggest.category(["a longer word", "another"])
    )
    return study.best_value
