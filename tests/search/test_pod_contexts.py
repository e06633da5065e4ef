"""Flytekit's context in the pods of trials: that of a pod of the task, also where a pod runs several trials."""

import json

from containers import CODE, study_of

from flyteoptuna.testing.engine.engine import Engine

# Identity of a pod, which is that of its task: of the trial task, or of the worker.
IDENTITY = {
    *("params.task_id", "params.output_metadata_prefix", "params.execution_date", "process.folder"),
    *("builder.task_id", "builder.output_metadata_prefix", "builder.execution_date", "environment.TMPDIR"),
    *("environment.FLYTE_INTERNAL_TASK_NAME", "environment.FLYTE_INTERNAL_NAME"),
    *("environment.BATCH_JOB_ARRAY_INDEX_VAR_NAME", "environment.FLYTE_K8S_ARRAY_INDEX"),
}
# Folders for files.
FOLDERS = {
    *("params.raw_output_prefix", "access.raw_output_prefix", "builder.raw_output_prefix"),
    *("params.working_directory", "builder.working_dir"),
}


def test_a_trial_sees_what_a_pod_of_its_task_sees(tmp_path, flows):
    """Each attribute of the context, its state, its parameters and the environment; folders are those of one trial."""
    outputs = Engine(tmp_path, CODE).run(flows("flow_of_contexts").contexts)
    plain = json.loads(outputs["o0"].scalar.primitive.string_value)
    batches, reused = ([json.loads(t.user_attrs["seen"]) for t in study_of(outputs[n]).trials] for n in ("o1", "o2"))
    assert (len(batches), len(reused)) == (2, 3)
    for seen in (*batches, *reused):
        different = {name for name in plain.keys() | seen.keys() if plain.get(name) != seen.get(name)}
        assert different <= IDENTITY | FOLDERS
    assert "TASK_EXECUTION" in plain["state.mode"]
    # The pods of batches have them from Flyte.
    for name in FOLDERS:
        assert len({seen[name] for seen in reused}) == 3, name
    for seen in (*batches, *reused):
        assert seen["params.raw_output_prefix"].strip("'") + "/" == seen["access.raw_output_prefix"].strip("'")


def test_outputs_of_a_search_inside_a_task_are_where_the_task_writes(tmp_path, flows):
    """Worker processes of the pod write there too: all else is lost with the pod."""
    engine = Engine(tmp_path, CODE)
    outputs = engine.run(flows("flow_of_contexts").searches_in_tasks)
    folders = {str(pod.raw) for pod in engine.of(".search_here")}
    assert len(folders) == 2
    for name in ("o0", "o1"):
        paths = [item.scalar.primitive.string_value for item in outputs[name].collection.literals]
        assert len({*paths}) == 4
        assert {path.rpartition("/")[0].rpartition("/")[0] for path in paths} < folders
