"""Makes docs/report.png of the report of a search. Needs scikit-learn, Pillow and Chromium.

python docs/report.py
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import flytekit as fl
import optuna
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from flyteoptuna import Optimizer, current_trial, report, suggest

PICTURE = Path(__file__).with_name("report.png")
SIZE = "1000,1880"
EPOCHS = 24


@fl.task
def accuracy(params: dict) -> float:
    """What share of the digits a network knows that it has not seen, told after each epoch."""
    x, y = load_digits(return_X_y=True)
    x, x_valid, y, y_valid = train_test_split(x / 16, y, test_size=0.4, random_state=0, stratify=y)
    network = MLPClassifier(
        hidden_layer_sizes=(params["hidden"],),
        activation=params["activation"],
        learning_rate_init=params["learning_rate"],
        alpha=params["weight_decay"],
        batch_size=params["batch"],
        random_state=0,
    )
    trial = current_trial()
    for epoch in range(EPOCHS):
        network.partial_fit(x, y, classes=range(10))
        value = float(network.score(x_valid, y_valid))
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


SPACE: dict[str, Any] = {
    "hidden": suggest.integer(4, 128, log=True),
    "activation": suggest.category(["relu", "tanh", "logistic"]),
    "learning_rate": suggest.float(1e-4, 0.5, log=True),
    "weight_decay": suggest.float(1e-6, 1, log=True),
    "batch": suggest.integer(8, 512, log=True),
}


def main() -> None:
    """Run the search, write its report, and take its picture."""
    study = optuna.create_study(
        study_name="digits",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=1),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=6, n_warmup_steps=5),
    )
    study.set_metric_names(["accuracy"])
    ended = Optimizer(accuracy, concurrency=3, n_trials=48, study=study)(params=SPACE)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        report(ended, page)
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE}"]
        command = ["chromium", *options, f"--screenshot={PICTURE}", page.as_uri()]
        subprocess.run(command, check=True)  # noqa: S603 - a command of ours
    # A third of the bytes, and no difference to be seen.
    Image.open(PICTURE).quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
