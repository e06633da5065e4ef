"""The same module without a search."""

import flytekit as fl


@fl.task
def objective(x: float) -> float:
    """An objective."""
    return x * x


@fl.workflow
def train(x: float = 1.0) -> float:
    """One call."""
    return objective(x=x)  # type: ignore[no-any-return]
