"""Starting container commands: by a warm server that forks, or cold."""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flytekit.core.context_manager import FlyteContextManager

SERVER = Path(__file__).with_name("server.py")


@dataclass(frozen=True)
class Job:
    """A container command and where it runs.

    Args:
        args: the command and its arguments.
        env: the whole environment.
        cwd: the working folder.
        path: folders that come first on Python's path.
        stdout: the file that takes what the command prints.
        stderr: the file that takes its errors.
        seconds: after how many seconds the command is killed, by the signal of an alarm.
        delay: how many of those seconds pass before it starts.
    """

    args: list[str]
    env: dict[str, str]
    cwd: str
    path: list[str]
    stdout: str
    stderr: str
    seconds: float
    delay: float = 0.0


_groups: set[int] = set()
_ending = threading.Event()


def _started(args: list[str], **kwargs: Any) -> subprocess.Popen[Any]:
    """Start a process in a group of its own, which a terminal's Ctrl-C does not reach, but `end_pods` does."""
    process = subprocess.Popen(args, start_new_session=True, **kwargs)  # noqa: S603 - a task's own command
    _groups.add(process.pid)
    if _ending.is_set():
        end_pods()
    return process


def end_pods() -> None:
    """Kill every pod at once, those that are still to start as well, for the session is ending."""
    _ending.set()
    for group in tuple(_groups):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@functools.cache
def end_pods_on_interrupt() -> None:
    """Let Ctrl-C end the pods, for which the engine's threads would wait, and then whatever runs."""
    # Flytekit's handler calls this first, and would then exit, which pytest takes for a test that failed.
    FlyteContextManager.add_signal_handler(_interrupted)


def _interrupted(*_: Any) -> None:
    end_pods()
    raise KeyboardInterrupt


def machine() -> dict[str, str]:
    """Return what a pod takes over of this process's environment: nothing of Flyte or of the tests."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("FLYTE", "_F_", "PYTEST"))}


def run_cold(job: Job) -> int:
    """Run the command in a new interpreter and return its exit code, negative for a signal."""
    executable = Path(sys.executable).parent / job.args[0]
    inherited = filter(None, [job.env.get("PYTHONPATH")])
    env = {**job.env, "PYTHONPATH": os.pathsep.join([*job.path, *inherited])}
    time.sleep(min(job.delay, job.seconds))
    if job.delay >= job.seconds:
        return -signal.SIGALRM
    with open(job.stdout, "wb") as out, open(job.stderr, "wb") as err:
        process = _started([str(executable), *job.args[1:]], env=env, cwd=job.cwd, stdout=out, stderr=err)
        try:
            return process.wait(job.seconds - job.delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return -signal.SIGALRM
        finally:
            _groups.discard(process.pid)


class Server:
    """The warm server's client; any number of threads may run jobs at once."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[int, queue.Queue[int]] = {}
        self._lock = threading.Lock()
        # flytekit sets up its logging when it is imported, and differently in a pod.
        env = {**machine(), "FLYTE_INTERNAL_EXECUTION_ID": "warm"}
        self._process = _started(
            [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the warm server has no pipes")
        self._jobs, self._answers = self._process.stdin, self._process.stdout
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self, job: Job) -> int:
        """Run the command in a fork and return its exit code, negative for a signal."""
        answer: queue.Queue[int] = queue.Queue()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = answer
            self._jobs.write(json.dumps({"number": number, **asdict(job)}) + "\n")
            self._jobs.flush()
        while True:
            try:
                return answer.get(timeout=0.2)
            except queue.Empty:
                if self._process.poll() is not None:
                    raise RuntimeError("the warm server has ended before its answer") from None

    def close(self) -> None:
        """End the server and every command that it still runs."""
        with suppress(BrokenPipeError):
            self._jobs.close()
        self._process.wait()
        # What the commands have started, and left, is of the server's group.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _listen(self) -> None:
        for line in self._answers:
            answer = json.loads(line)
            if "number" in answer:
                self._waiting.pop(answer["number"]).put(answer["code"])


_shared: Server | None = None
_sharing = threading.Lock()


def run_warm(job: Job) -> int:
    """Run the command by this process's one server, which is started at the first call."""
    global _shared
    with _sharing:
        if _shared is None:
            _shared = Server()
            atexit.register(_shared.close)
    return _shared.run(job)
