"""Two objectives: an accurate classifier of handwritten digits, and a small one.

pyflyte run examples/pareto.py front
"""

import flytekit as fl
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from flyteoptuna import Optimizer, suggest


@fl.task
def accuracy_and_leaves(max_depth: int, min_samples_leaf: int) -> tuple[float, float]:
    """Mean accuracy of three-fold cross-validation, and the leaves of a tree that is fitted to all digits."""
    digits = load_digits()
    tree = DecisionTreeClassifier(max_depth=max_depth, min_samples_leaf=min_samples_leaf, random_state=0)
    accuracy = cross_val_score(tree, digits.data, digits.target, cv=3).mean()
    return float(accuracy), float(tree.fit(digits.data, digits.target).get_n_leaves())


@fl.task
def described(study: optuna.Study) -> list[str]:
    """A line for each trial that no other beats in both."""
    front = sorted(study.best_trials, key=lambda trial: trial.values[1])
    return [f"{t.values[1]:.0f} leaves: accuracy {t.values[0]:.3f} with {t.params}" for t in front]


@fl.workflow
def front(concurrency: int = 4, n_trials: int = 24) -> list[str]:
    """The Pareto front, smallest tree first."""
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=optuna.samplers.NSGAIISampler(population_size=8, seed=0)
    )
    optimizer = Optimizer(accuracy_and_leaves, concurrency, n_trials, study=study, avoid_duplicates=True)
    found = optimizer(max_depth=suggest.integer(2, 12), min_samples_leaf=suggest.integer(1, 50, log=True))
    return described(study=found)
