"""The study of a search whose workers share a journal: optuna and ``journal``, and no flytekit, as all of ``study``."""
