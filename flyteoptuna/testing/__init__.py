"""Tools to test searches: run a workflow in local processes, simulate a search in memory, and check a study.

No other package imports it. Its dependencies are the extra ``testing``.
"""

from flyteoptuna.testing import strategies
from flyteoptuna.testing.checks import check
from flyteoptuna.testing.compiler.problems import CompileError
from flyteoptuna.testing.engine.cache import Cache
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.faults import RandomPods
from flyteoptuna.testing.pods.pod import Pod
from flyteoptuna.testing.runs import Run, run
from flyteoptuna.testing.simulation import PodLostError, Simulation, simulate
from flyteoptuna.testing.slots import TrialRun

__all__ = [
    "Cache",
    "CompileError",
    "ExecutionFailedError",
    "Pod",
    "PodLostError",
    "RandomPods",
    "Run",
    "Simulation",
    "TrialRun",
    "check",
    "run",
    "simulate",
    "strategies",
]
