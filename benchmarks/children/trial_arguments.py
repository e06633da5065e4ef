"""Print the loader arguments of the trial task of ``with_flyteoptuna``."""

import json

from with_flyteoptuna import objective

from flyteoptuna.search.trial_task import trial_task

print(json.dumps({"args": trial_task(objective, ("x",), ()).rebuild_args}))
