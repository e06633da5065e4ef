"""An engine for tests: a workflow's protobufs followed as Flyte does, every task in a process of its own."""

from .cache import Cache
from .engine import Engine
from .graphs import Graph
from .literals import NONE, primitive
from .pods import Fault, Outcome, Pod
from .processes import end_pods
from .scopes import ExecutionFailed

__all__ = ["NONE", "Cache", "Engine", "ExecutionFailed", "Fault", "Graph", "Outcome", "Pod", "end_pods", "primitive"]
