"""The image of the README, as flytekit's own builder would hand it to Docker."""

import re
from pathlib import Path

import flytekit as fl
import pytest
from flytekit.image_spec.default_builder import create_docker_context

ROOT = Path(__file__).parent.parent
WHEEL = re.compile(r'^WHEEL = "(.*)"$', re.MULTILINE)
TEXT = (ROOT / "README.md").read_text()
[BLOCK] = [
    block for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) if "ImageSpec" in block
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the wheel, from which images are built."""
    [name] = WHEEL.findall(BLOCK)
    wheel = tmp_path / name
    wheel.parent.mkdir()
    wheel.write_bytes(b"a wheel")
    monkeypatch.chdir(tmp_path)
    return wheel.parent.parent


def context(image, folder):
    (folder / "context").mkdir()
    create_docker_context(image, folder / "context")
    return (folder / "context" / "Dockerfile").read_text()


def test_the_image_installs_the_wheel_that_it_copies(folder):
    """After what `packages` names, and from where it has been copied to."""
    names = {"fl": fl}
    exec(BLOCK.partition("@fl.task")[0], names)
    text, wheel = context(names["image"], folder), names["WHEEL"]
    assert (folder / "context" / wheel).read_bytes() == b"a wheel"
    steps = ["--requirement requirements_uv.txt", f"COPY --chown=flytekit {wheel} /root/dist/"]
    places = [text.index(step) for step in [*steps, f"uv pip install /root/{wheel}"]]
    assert places == sorted(places)
    assert "scikit-learn" in (folder / "context" / "requirements_uv.txt").read_text()


def test_packages_copies_no_wheel(folder):
    """Which is why the README does not name it there."""
    [wheel] = WHEEL.findall(BLOCK)
    context(fl.ImageSpec(name="search", registry="your-registry", packages=[wheel]), folder)
    assert not (folder / "context" / wheel).exists()


def test_the_wheel_has_the_name_that_a_build_gives_it():
    """Of the version that the project has now."""
    [version] = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert WHEEL.findall(BLOCK) == [f"dist/flyteoptuna-{version}-py3-none-any.whl"]
