"""Names and docstrings of the package follow a few rules that a machine can check."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import flyteoptuna

PACKAGE = Path(flyteoptuna.__file__).parent
TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
# Layers whose modules import each other's names.
LAYERS = ("journal", "local", "search", "space", "storage", "study", "trial")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def test_one_name_is_one_thing():
    """No two functions or classes of the layers that a search is made of share a name."""
    homes = defaultdict(list)
    for path, tree in TREES.items():
        if path.parts[0] in LAYERS:
            for node in tree.body:
                if isinstance(node, DEFINITIONS):
                    homes[node.name].append(str(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("path", TREES, ids=str)
def test_a_docstring_begins_with_a_noun_or_a_verb(path):
    """What, whose, how, which and that begin a riddle; the roles of Sphinx do not render."""
    documented = [node for node in ast.walk(TREES[path]) if isinstance(node, (ast.Module, *DEFINITIONS))]
    texts = [text for node in documented if (text := ast.get_docstring(node))]
    assert [text for text in texts if re.match(r"(What|Whose|How|Which|That)\b", text)] == []
    assert [text for text in texts if re.search(r":(func|class|attr|meth|mod|data|exc):`", text)] == []
