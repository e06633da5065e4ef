"""The names by which containers find their tasks."""

from flytekit.configuration import FastSerializationSettings, ImageConfig, SerializationSettings
from flytekit.core.python_auto_container import default_notebook_task_resolver
from objectives import square

from flyteoptuna.search.batches.graph import BatchTasks


def test_the_resolver_is_a_wire_format():
    """A container that starts with this path must find its task."""
    search = BatchTasks(square, square, ("x",), ("power",), "continued", ("minimize",))
    assert search.span.task_resolver.location == "flyteoptuna.flyte.resolver.resolver"
    assert search.span.task_resolver.loader_args(None, search.span) == [
        "flyteoptuna.search.batches.graph:rebuild_batch_task",
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


def test_a_task_of_a_notebook_is_found_in_its_pickle():
    """By the name that flytekit pickles it by, and by this resolver, whatever else flytekit sets."""
    task = BatchTasks(square, square, ("x",), (), "new", ("minimize",)).finish
    task.set_resolver(default_notebook_task_resolver)
    fast = FastSerializationSettings(enabled=True, destination_dir=".", distribution_location="s3://bucket/key/pkl.gz")
    settings = SerializationSettings(ImageConfig.auto(img_name="image:tag"), fast_serialization_settings=fast)
    assert task.task_resolver.location == "flyteoptuna.flyte.resolver.resolver"
    assert task.task_resolver.loader_args(settings, task) == ["flyteoptuna.flyte.resolver:load_pickled_task", task.name]
