"""The names by which containers find their tasks."""

from objectives import square

from flyteoptuna.search.batches.graph import Search


def test_the_resolver_is_a_wire_format():
    """A container that starts with this path must find its task."""
    search = Search(square, square, ("x",), ("power",), "continued", ("minimize",))
    assert search.span.task_resolver.location == "flyteoptuna.flyte.resolver.resolver"
    assert search.span.task_resolver.loader_args(None, search.span) == [
        "flyteoptuna.search.batches.graph:rebuild",
        "span",
        square.name.removesuffix(".square"),
        "square",
        square.name.removesuffix(".square"),
        "square",
        "x",
        "power",
        "minimize",
        "continued",
    ]
