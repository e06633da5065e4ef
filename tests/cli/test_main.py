"""The command line as a whole."""

import subprocess
import sys

from command_line import run


def test_help_comes_fast_and_teaches():
    """`--help` imports neither optuna nor flytekit, and each command shows how it is used."""
    code = (
        "import sys, contextlib\nfrom flyteoptuna.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print({'optuna', 'flytekit', 'rich', 'pandas'} & set(sys.modules))"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "flyteoptuna plan workflows/train.py:train --n-trials 200" in made.stdout
    assert made.stdout.endswith("set()\n")
    assert "--input n_trials=500" in run("plan", "--help")
    assert "flyte://PROJECT/DOMAIN/EXECUTION" in run("show", "--help")
    assert "--to sqlite:///study.db" in run("export", "--help")
    assert run("--version").startswith("flyteoptuna ")


def test_python_m_is_the_command_line():
    """Word for word."""
    made = subprocess.run([sys.executable, "-m", "flyteoptuna", "--help"], check=True, capture_output=True, text=True)
    assert made.stdout.split() == run("--help").replace("Usage: main ", "Usage: flyteoptuna ").split()
