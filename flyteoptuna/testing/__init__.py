"""What users test their searches with: a workflow in processes of its own, and a search in memory.

May import every other folder, and nothing imports it. Its own dependencies are the extra ``testing``.
"""

from flyteoptuna.testing import strategies
from flyteoptuna.testing.checks import check
from flyteoptuna.testing.compiler.problems import CompileError
from flyteoptuna.testing.engine.cache import Cache
from flyteoptuna.testing.engine.scopes import ExecutionFailed
from flyteoptuna.testing.faults import Some
from flyteoptuna.testing.pods.pod import Pod
from flyteoptuna.testing.runs import Run, run
from flyteoptuna.testing.simulation import PodLostError, Simulation, simulate
from flyteoptuna.testing.slots import Ran

__all__ = [
    "Cache",
    "CompileError",
    "ExecutionFailed",
    "Pod",
    "PodLostError",
    "Ran",
    "Run",
    "Simulation",
    "Some",
    "check",
    "run",
    "simulate",
    "strategies",
]
