"""Pages of the site for the Markdown files at the root of the project; links of all pages are as in the project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links from places in the project to pages of the site; one to an example, alone in its line, to the code."""
    if page.file.src_uri not in PAGES.values():
        markdown = re.sub(r"^\[(examples/.+\.py)\]\(\.\./\1\)$", _code, markdown, flags=re.MULTILINE)
        markdown = re.sub(r"\]\(\.\./examples[^)]*\)", "](examples.md)", markdown)
        return re.sub(rf"\]\(\.\./({'|'.join(map(re.escape, PAGES))})", lambda found: f"]({PAGES[found[1]]}", markdown)
    markdown = re.sub(r"\]\(docs/", "](", markdown)
    return re.sub(r"\]\(examples/[^)]*\)|\]\(examples\)", "](examples.md)", markdown)


def _code(found: re.Match[str]) -> str:
    return f"```python\n{(ROOT / found[1]).read_text()}```"


def on_serve(server: Any, **_: Any) -> Any:
    """Watch them too."""
    for name in PAGES:
        server.watch(str(ROOT / name))
    return server
