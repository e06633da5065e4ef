"""Lets tox find the Pythons that pyenv has installed; pyenv's own commands stand for the active ones alone."""

import os
from pathlib import Path

_root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *sorted(map(str, _root.glob("versions/*/bin")))])
