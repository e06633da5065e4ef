"""Notebooks, run by a kernel of this Python, with the modules that this process finds."""

import json
import os
import re
import sys

import nbformat
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

LONG = 3600
"""Seconds after which a kernel that does not answer counts as dead, however slow the machine is."""


class CellFailedError(Exception):
    """A cell of a notebook has raised."""


def executed(notebook, folder, **environment):
    """A copy of a notebook, or of a list of cells, with the outputs that it has when it is run in a folder.

    Raises:
        CellFailedError: a cell has raised; has what the notebook shows.
    """
    if isinstance(notebook, list):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in notebook])
    notebook = nbformat.reads(nbformat.writes(notebook), as_version=4)
    own = folder / "kernels" / "own"
    own.mkdir(parents=True, exist_ok=True)
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "IPYTHONDIR": str(folder / "ipython"),
        "COLUMNS": "80",
        **environment,
    }
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "own", "language": "python", "env": variables}
    (own / "kernel.json").write_text(json.dumps(spec))
    manager = KernelManager(
        kernel_name="own",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder / "kernels")]),
        connection_file=str(folder / "connection.json"),
    )
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=None,
        startup_timeout=LONG,
        iopub_timeout=LONG,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        return client.execute()
    except CellExecutionError as error:
        # Flytekit shows what was raised in a way of its own, and leaves nothing of it in the error.
        raise CellFailedError(shown(client.nb)) from error
    finally:
        manager.shutdown_kernel(now=True)


def shown(notebook, kind="text/plain"):
    """What the cells of a notebook that was executed have shown: what they printed, and each output of a kind."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "\n".join(output.get("text") or output.get("data", {}).get(kind, "") for output in outputs)
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
