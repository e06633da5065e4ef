"""An engine that ends with the first graph of a dynamic task, as the search of a workflow makes it."""

from flyteidl.core import dynamic_job_pb2

from flyteoptuna.testing.engine.engine import Engine


class EmittedError(Exception):
    """Ends a run with a graph and the template of the dynamic task that has made it."""


class FirstGraph(Engine):
    """Runs a workflow up to the first graph of a dynamic task."""

    def _run_dynamic(self, node, template, futures, *args):
        raise EmittedError(dynamic_job_pb2.DynamicJobSpec.FromString(futures), template)
