"""The pods of a search with reused pods, called in this process as Flyte calls them."""

import optuna

from flyteoptuna import suggest
from flyteoptuna.flyte.references import make_reference
from flyteoptuna.search.best_outputs import NONE_USED
from flyteoptuna.search.request import PROMISABLE
from flyteoptuna.search.reused.graph import ReusedPodTasks
from flyteoptuna.space.space import space_to_json


class Pods:
    """The pods of a search over a store: the tasks as Flyte calls them."""

    def __init__(self, flow):
        self.tasks = ReusedPodTasks.of(flow.line, flow.line, ("x",), (), "", ("minimize",), ())
        self.shared, self.told = {}, []

    def search(self):
        counts = {"n_trials": 2, "concurrency": 1, "batch_size": 2, "avoid_duplicates": False}
        space = space_to_json({"x": suggest.float(0, 1)})
        inputs = {**dict.fromkeys(PROMISABLE), **counts, "space": space, "strategies": ""}
        study, journal, settings, _ = self.tasks.search.execute(**inputs)
        self.shared = {"study": make_reference(study.literal), "journal": journal, "settings": settings}

    def worker(self):
        self.told = [self.tasks.worker.execute(optuna_worker=0, **self.shared)]

    def finish(self):
        study, *_ = self.tasks.finish.execute(told=self.told, used=NONE_USED, **self.shared)
        return make_reference(study.literal).read(optuna.Study)
