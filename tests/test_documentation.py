"""The Python code of the README and of the guides, run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^``` ?(?:\{ \.)?python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAIN = "\n\nif __name__"
PAGES = {
    "README.md": {
        "tune",
        "tune_forest",
        "tune_by_criterion",
        "tune_and_use",
        "best_model",
        "resumable",
        "tune_with_pruning",
        "tune_within_limits",
        "front",
    },
    "docs/space.md": {"tune", "tune_by_kind"},
    "docs/results.md": {"tune_and_deploy", "tune_and_collect", "tune_and_refit"},
    "docs/trial.md": {"tune", "tune_small"},
    "docs/cluster.md": set(),
    "docs/sampler.md": set(),
}
RUN = """
import sys
from flytekit.core.workflow import WorkflowBase
import page

workflows = {name: value for name, value in vars(page).items() if isinstance(value, WorkflowBase)}
for name, workflow in workflows.items():
    print("ran", name, workflow(n_trials=4))
for name, value in list(vars(page).items()):
    if name.startswith("test_"):
        value()
        print("passed", name)
"""
ELSEWHERE = ("ImageSpec", "FlyteRemote")
"""Names in the blocks that need a registry or a cluster."""


def blocks(page):
    return [text for text in BLOCK.findall((ROOT / page).read_text()) if not any(name in text for name in ELSEWHERE)]


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path):
    """As one module, each workflow with four trials, and each test."""
    # Imports come first in a module, wherever the page shows them.
    texts = [text.partition(MAIN)[0] for text in blocks(page)]
    imports = "import flytekit as fl\nfrom flyteoptuna import Optimizer, suggest\n"
    (tmp_path / "page.py").write_text(imports + "\n\n".join(texts))
    (tmp_path / "run.py").write_text(RUN)
    made = subprocess.run([sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert set(re.findall(r"^ran (\w+)", made.stdout, re.MULTILINE)) == PAGES[page], made.stdout
    tests = re.findall(r"^def (test_\w+)", "\n".join(texts), re.MULTILINE)
    assert re.findall(r"^passed (\w+)", made.stdout, re.MULTILINE) == tests


def test_the_first_search_is_the_example():
    """Below the example's own docstring."""
    example = (ROOT / "examples" / "first_search.py").read_text()
    assert example.endswith(f'"""\n\n{blocks("README.md")[0]}')
