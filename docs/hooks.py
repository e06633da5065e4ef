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
    """Turn links from places in the project to pages of the site."""
    if page.file.src_uri not in PAGES.values():
        return re.sub(rf"\]\(\.\./({'|'.join(map(re.escape, PAGES))})", lambda found: f"]({PAGES[found[1]]}", markdown)
    markdown = re.sub(r"\]\(docs/", "](", markdown)
    return re.sub(r"\]\(examples/[^)]*\)|\]\(examples\)", "](examples.md)", markdown)


def on_serve(server: Any, **_: Any) -> Any:
    """Watch them too."""
    for name in PAGES:
        server.watch(str(ROOT / name))
    return server
