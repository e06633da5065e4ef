"""Script of the warm server, which imports flytekit and Optuna and forks a child for each container command.

It reads JSON lines from stdin, each the fields of a ``PodCommand`` with a ``number``. When the child ends, it writes a
line with the ``number`` and the exit ``code`` to stdout. When stdin closes, it kills its children and ends. It has a
single thread, so that no other thread holds a lock during a fork. It imports no user code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from typing import Any

# Python puts the script's folder first on the path, where its modules could hide the user's.
sys.path.pop(0)

from flytekit.bin import entrypoint

# The pods that ask and tell import these. It takes longer than all else that such a pod does.
for module in ("optuna", "flyteoptuna.search.batches.driver", "flyteoptuna.search.reused.search_journal"):
    importlib.import_module(module)

# Commands of containers, by name.
COMMANDS = {
    "pyflyte-execute": entrypoint.execute_task_cmd,
    "pyflyte-fast-execute": entrypoint.fast_execute_task_cmd,
    "pyflyte-map-execute": entrypoint.map_execute_task_cmd,
}


def run_command(command: dict[str, Any]) -> int:
    """Set up the process as a container does, then call the command."""
    os.environ.clear()
    os.environ.update(command["env"])
    os.chdir(command["cwd"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(command[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.setitimer(signal.ITIMER_REAL, command["seconds"])
    time.sleep(command["delay"])
    sys.argv = command["args"]
    # A process that the command spawns runs this file first, and must not run the server's.
    sys.modules["__main__"].__file__ = os.path.join(os.path.dirname(sys.executable), sys.argv[0])
    sys.path[:0] = command["path"]
    importlib.invalidate_caches()
    tempfile.tempdir = None
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()
    click_command = COMMANDS[command["args"][0]]
    try:
        click_command.main(args=command["args"][1:], prog_name=command["args"][0])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def fork_command(command: dict[str, Any]) -> int:
    """Run a command in a child and return its process ID."""
    if pid := os.fork():
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        code = run_command(command)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def reap_children() -> list[tuple[int, int]]:
    """Return the process IDs and exit codes of ended children; the code of a signal is its negative number."""
    children = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            children.append((pid, os.waitstatus_to_exitcode(status)))
    return children


def serve() -> None:
    """Fork a child for each command on stdin until stdin closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.set_inheritable(answers.fileno(), False)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    pending = b""
    gc.collect()
    gc.freeze()
    print(json.dumps({"ready": True}), file=answers)
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            for pid, code in reap_children():
                print(json.dumps({"number": running.pop(pid), "code": code}), file=answers)
        if 0 in readable:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                command = json.loads(line)
                running[fork_command(command)] = command["number"]
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
