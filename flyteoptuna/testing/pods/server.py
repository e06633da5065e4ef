"""A process with flytekit imported that forks a child for each container command; run as a script.

It reads a JSON object a line from stdin, a `Job` with a `number`, and
answers `number` and `code` when that child has ended. It ends, and its children with it, when stdin closes. It has one
thread only, so no lock can be held while it forks. Nothing of the user's is imported here.
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

# As a script, this folder came first on the path, where its modules could hide the user's.
sys.path.pop(0)

from flytekit.bin import entrypoint


def run(job: dict[str, Any]) -> int:
    """Become the pod: set what a container sets, then call the command."""
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.setitimer(signal.ITIMER_REAL, job["seconds"])
    time.sleep(job["delay"])
    sys.argv = job["args"]
    sys.path[:0] = job["path"]
    importlib.invalidate_caches()
    tempfile.tempdir = None
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()
    command = entrypoint._pass_through.commands[job["args"][0]]
    try:
        command.main(args=job["args"][1:], prog_name=job["args"][0])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def fork(job: dict[str, Any]) -> int:
    """Start a child and return its process id."""
    if pid := os.fork():
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        code = run(job)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended() -> list[tuple[int, int]]:
    """Return process id and exit code of the children that have ended; a signal's code is its negative number."""
    found = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            found.append((pid, os.waitstatus_to_exitcode(status)))
    return found


def serve() -> None:
    """Fork for the jobs on stdin until it closes."""
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
            for pid, code in ended():
                print(json.dumps({"number": running.pop(pid), "code": code}), file=answers)
        if 0 in readable:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                job = json.loads(line)
                running[fork(job)] = job["number"]
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
