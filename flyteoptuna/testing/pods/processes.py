"""Start container commands in a fork of a warm server, or in a new interpreter."""

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

# Script of the warm server.
SERVER_SCRIPT = Path(__file__).with_name("server.py")


@dataclass(frozen=True)
class PodCommand:
    """Container command with its process environment.

    Args:
        args: command and arguments.
        env: complete environment.
        cwd: working folder.
        path: folders that come first on Python's path.
        stdout: file for stdout.
        stderr: file for stderr.
        seconds: time limit, seconds, delay included. Then ``SIGALRM`` kills the command.
        delay: delay of the start, seconds.
    """

    args: list[str]
    env: dict[str, str]
    cwd: str
    path: list[str]
    stdout: str
    stderr: str
    seconds: float
    delay: float = 0.0


_process_groups: set[int] = set()
_session_ending = threading.Event()


def _start_process(args: list[str], **kwargs: Any) -> subprocess.Popen[Any]:
    """Start a process in a separate process group, which ``end_pods`` kills and a terminal's Ctrl-C does not reach."""
    process = subprocess.Popen(args, start_new_session=True, **kwargs)  # noqa: S603 - a task's own command
    _process_groups.add(process.pid)
    if _session_ending.is_set():
        end_pods()
    return process


def end_pods() -> None:
    """Kill all pods at once, including those that start later."""
    _session_ending.set()
    for group in tuple(_process_groups):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@functools.cache
def end_pods_on_interrupt() -> None:
    """Make Ctrl-C kill the pods, for which the engine's threads would wait, and interrupt the session."""
    # Flytekit's own handler calls this one first. Its ``sys.exit`` would count as a failed test in pytest.
    FlyteContextManager.add_signal_handler(_interrupt)


def _interrupt(*_: Any) -> None:
    end_pods()
    raise KeyboardInterrupt


def inherited_environment() -> dict[str, str]:
    """Return this process's environment without the variables of Flyte and pytest."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("FLYTE", "_F_", "PYTEST"))}


def run_cold(command: PodCommand) -> int:
    """Run a command in a new interpreter and return its exit code, negative for a signal."""
    executable = Path(sys.executable).parent / command.args[0]
    inherited = filter(None, [command.env.get("PYTHONPATH")])
    env = {**command.env, "PYTHONPATH": os.pathsep.join([*command.path, *inherited])}
    time.sleep(min(command.delay, command.seconds))
    if command.delay >= command.seconds:
        return -signal.SIGALRM
    with open(command.stdout, "wb") as out, open(command.stderr, "wb") as err:
        process = _start_process([str(executable), *command.args[1:]], env=env, cwd=command.cwd, stdout=out, stderr=err)
        try:
            return process.wait(command.seconds - command.delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return -signal.SIGALRM
        finally:
            _process_groups.discard(process.pid)


class WarmServer:
    """Client of the warm server, safe for any number of threads."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._results: dict[int, queue.Queue[int]] = {}
        self._lock = threading.Lock()
        # At its import, flytekit configures logging, which it does differently in a pod.
        env = {**inherited_environment(), "FLYTE_INTERNAL_EXECUTION_ID": "warm"}
        self._process = _start_process(
            [sys.executable, str(SERVER_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the warm server has no pipes")
        self._commands, self._answers = self._process.stdin, self._process.stdout
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self, command: PodCommand) -> int:
        """Run a command in a fork and return its exit code, negative for a signal."""
        result: queue.Queue[int] = queue.Queue()
        with self._lock:
            number = next(self._numbers)
            self._results[number] = result
            self._commands.write(json.dumps({"number": number, **asdict(command)}) + "\n")
            self._commands.flush()
        while True:
            try:
                return result.get(timeout=0.2)
            except queue.Empty:
                if self._process.poll() is not None:
                    raise RuntimeError("the warm server has ended before its answer") from None

    def close(self) -> None:
        """End the server and all of its commands."""
        with suppress(BrokenPipeError):
            self._commands.close()
        self._process.wait()
        # Processes that the commands started are in the server's group.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _listen(self) -> None:
        for line in self._answers:
            answer = json.loads(line)
            if "number" in answer:
                self._results.pop(answer["number"]).put(answer["code"])


_shared_server: WarmServer | None = None
_shared_server_lock = threading.Lock()


def run_warm(command: PodCommand) -> int:
    """Run a command in the warm server of this process, which the first call starts."""
    global _shared_server
    with _shared_server_lock:
        if _shared_server is None:
            _shared_server = WarmServer()
            atexit.register(_shared_server.close)
    return _shared_server.run(command)
