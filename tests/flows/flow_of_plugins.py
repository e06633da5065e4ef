"""Objectives whose plugins work before, around and after a call of the function."""

from dataclasses import dataclass
from typing import Any

import flytekit as fl
import optuna
from flytekit import PythonFunctionTask
from flytekit.core.context_manager import ExecutionParameters, FlyteContextManager
from flytekit.core.utils import ClassDecorator
from flytekit.extend import TaskPlugins

from flyteoptuna import Optimizer, current_trial, suggest

HOWS = ["fine", "before", "around", "after", "pruned around"]


class Session:
    """A session, which a plugin opens for one call."""

    def __init__(self) -> None:
        self.calls, self.closed = 0, False


@dataclass
class Around:
    """Opens a session for each call of a task."""


class AroundTask(PythonFunctionTask[Around]):
    """The task of the plugin, of a type that may start several pods."""

    def __init__(self, task_config: Around, task_function: Any, **kwargs: Any) -> None:
        super().__init__(task_config, task_function, task_type="around", **kwargs)

    def pre_execute(self, user_params: ExecutionParameters) -> ExecutionParameters:
        """Open the session."""
        if current_trial().params.get("how") == "before":
            raise RuntimeError("no session")
        return user_params.builder().add_attr("SESSION", Session()).build()

    def execute(self, **kwargs: Any) -> Any:
        """Call the function in the session."""
        fl.current_context().session.calls += 1
        try:
            return super().execute(**kwargs)
        except Exception as error:
            raise RuntimeError("the session broke") from error

    def post_execute(self, user_params: ExecutionParameters, rval: Any) -> Any:
        """Close the session, and correct the result."""
        user_params.session.closed = True
        if current_trial().params.get("how") == "after":
            raise RuntimeError("no end of the session")
        return rval + 1.0


TaskPlugins.register_pythontask_plugin(Around, AroundTask)


@dataclass
class Cluster:
    """Begins a cluster, of which a pod has at most one; there is none yet for the first trial."""


class ClusterTask(PythonFunctionTask[Cluster]):
    """The task of the plugin."""

    begun = False

    def __init__(self, task_config: Cluster, task_function: Any, **kwargs: Any) -> None:
        super().__init__(task_config, task_function, **kwargs)

    def pre_execute(self, user_params: ExecutionParameters) -> ExecutionParameters:
        """Begin the cluster."""
        if current_trial().number == 0:
            raise RuntimeError("no cluster")
        state = FlyteContextManager.current_context().execution_state
        if ClusterTask.begun and not (state and state.is_local_execution()):
            raise RuntimeError("begun twice")
        ClusterTask.begun = True
        return user_params.builder().add_attr("CLUSTER", "a cluster").build()


TaskPlugins.register_pythontask_plugin(Cluster, ClusterTask)


@fl.task(task_config=Cluster())
def clustered(x: float) -> float:
    return x + len(fl.current_context().cluster)


@fl.workflow
def clusters() -> tuple[optuna.Study, optuna.Study]:
    x = suggest.float(0, 1)
    return Optimizer(clustered, 2, 4)(x=x), Optimizer(clustered, 1, 4, reuse_pods=True)(x=x)


@fl.task(task_config=Around())
def around(x: float, how: str) -> float:
    session = fl.current_context().session
    if how == "pruned around":
        raise optuna.TrialPruned("in the session")
    if how == "around":
        raise ValueError("no good")
    assert (session.calls, session.closed) == (1, False)
    return x


class Tracked(ClassDecorator):
    """Asks for a secret, unless the execution is local."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Ask, then call the function."""
        ctx = FlyteContextManager.current_context()
        if not ctx.execution_state.is_local_execution():
            ctx.user_space_params.secrets.get(group="tracker", key="token")
        return self.task_function(*args, **kwargs)

    def get_extra_config(self) -> dict[str, str]:
        """Return none."""
        return {}


@fl.task
@Tracked
def followed(x: float, how: str) -> float:
    return x + 1.0


def grid() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.GridSampler({"how": HOWS}, seed=1))


@fl.workflow
def batches() -> optuna.Study:
    return Optimizer(around, 2, len(HOWS), study=grid())(x=0.5, how=suggest.category(HOWS))


@fl.workflow
def reused() -> optuna.Study:
    return Optimizer(around, 2, len(HOWS), study=grid(), reuse_pods=True)(x=0.5, how=suggest.category(HOWS))
