"""The study as a Flyte type."""

import subprocess
import sys

import pytest
from containers import CODE

from flyteoptuna.testing.engine.engine import Engine


@pytest.mark.parametrize(
    "imports",
    [
        "import flytekit, flyteoptuna.storage.file_format",
        "import flytekit; from flyteoptuna import StudyFormatError, SearchFailedError",
        "import flytekit, flyteoptuna.flyte.study_type",
        "import optuna, flytekit",
        "import flytekit, optuna",
    ],
)
def test_the_study_is_a_flyte_type_in_whatever_order_things_are_imported(imports):
    """Flytekit loads the plugin, and importing optuna completes it."""
    engine = "from flytekit.core.type_engine import TypeEngine"
    code = f"{imports}; {engine}; import optuna; print(TypeEngine.get_transformer(optuna.Study).name)"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "optuna.Study"


def test_a_list_of_trials_resolves_without_a_pod(tmp_path, flows):
    """Two objectives make a new study of two directions."""
    outputs = Engine(tmp_path, CODE).run(flows("flow_of_imports").pareto)
    assert sorted(item.scalar.primitive.integer for item in outputs["o0"].collection.literals) == [0, 1]
