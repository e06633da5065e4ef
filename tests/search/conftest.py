"""What the tests of searches share."""

import pytest
from containers import CODE, results, study_of

from flyteoptuna.testing.engine.engine import Engine


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The results and the pods of a search that nothing happens to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        engine = Engine(tmp_path_factory.mktemp("undisturbed"), CODE)
        study = study_of(engine.run(__import__("flow_of_faults").plain)["o0"])
    return results(study), [(p.task, p.path, p.index) for p in engine.pods]
