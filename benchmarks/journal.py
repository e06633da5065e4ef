"""What the journal costs over a slow store: an ask and a tell beyond Optuna's own, and the time of a late reader."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from fsspec.asyn import AsyncFileSystem
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from benchmarks.common import Options, Table, seconds
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.study.shared.recorder import Recorder

LATENCY = 0.02
PARAMETERS = 10
ASK_MARK = 0.5
READ_MARK = 10.0


class SlowStore(AsyncFileSystem):
    """Objects in memory, each request of which takes ``latency`` seconds, and fifty of which go at once at most."""

    cachable = False
    objects: dict[str, bytes]

    def __init__(self) -> None:
        super().__init__()
        self.objects = {}
        self.latency = 0.0
        self.requests = 0
        self._slots = asyncio.Semaphore(50)

    async def _request(self) -> None:
        self.requests += 1
        if self.latency:
            async with self._slots:
                await asyncio.sleep(self.latency)

    async def _cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        await self._request()
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        await self._request()
        if mode == "create" and path in self.objects:
            raise FileExistsError(path)
        self.objects[path] = value

    async def _ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        await self._request()
        return [name for name in self.objects if name.startswith(f"{path}/")]


def _create(fs: Any, path: str, body: bytes) -> None:
    fs.pipe_file(path, body, mode="create")


class _Memory(BaseJournalBackend):
    """The least that a backend can be: what remains is Optuna's own."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


def _create_at_once(fs: Any, path: str, body: bytes) -> None:
    if path in fs.objects:
        raise FileExistsError(path)
    fs.objects[path] = body


def _backend(fs: SlowStore) -> JournalObjectBackend:
    return JournalObjectBackend("slow://journal", fs=fs, create=_create)


@contextmanager
def _one_entry(storage: Any, backend: JournalObjectBackend | None) -> Iterator[Any]:
    """The storage to change; over a backend, one whose changes are written as one entry, as a worker writes them."""
    if backend is None:
        yield storage
        return
    recorder, since = Recorder("s", [StudyDirection.MINIMIZE]), backend.n_records
    yield recorder.storage
    backend.append_together(recorder.records, since)


def _run_trials(storage: Any, trials: int, backend: JournalObjectBackend | None = None) -> list[float]:
    """Ask and tell trials in the entries that a worker makes of them; the seconds that each trial took."""
    study, distribution, took = _study(storage)._study_id, FloatDistribution(-10, 10), []
    for number in range(trials):
        start = time.perf_counter()
        if backend is not None:
            backend.refresh()
        trial = storage.create_new_trial(study)
        with _one_entry(storage, backend) as changed:
            for index in range(PARAMETERS):
                changed.set_trial_param(trial, f"x{index}", (number * 0.6180339887 + index) % 10, distribution)
        with _one_entry(storage, backend) as changed:
            changed.set_trial_state_values(trial, TrialState.COMPLETE, [number / 7])
        took.append(time.perf_counter() - start)
    return took


def _study(storage: Any) -> optuna.Study:
    sampler = optuna.samplers.RandomSampler(seed=1)
    return optuna.create_study(storage=storage, study_name="s", sampler=sampler, load_if_exists=True)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _row(trials: int) -> dict[str, Any]:
    fs, memory, plain = SlowStore(), _Memory(), InMemoryStorage()
    _run_trials(JournalStorage(memory), trials)
    start = time.perf_counter()
    JournalStorage(memory)
    replay = time.perf_counter() - start
    _run_trials(plain, trials)
    filling = JournalObjectBackend("slow://journal", fs=fs, create=_create_at_once, poll=1e9)
    _run_trials(JournalStorage(filling), trials, filling)
    backend = _backend(fs)
    storage = JournalStorage(backend)
    fs.latency, before = LATENCY, fs.requests
    slow = _median(_run_trials(storage, 50, backend))
    requests = (fs.requests - before) / 50
    own = _median(_run_trials(plain, 50))
    fs.requests = 0
    start = time.perf_counter()
    late = JournalStorage(_backend(fs))
    read = time.perf_counter() - start
    read_requests = fs.requests
    fs.objects = {name: body for name, body in fs.objects.items() if "pack" not in name}
    start = time.perf_counter()
    unpacked = JournalStorage(_backend(fs))
    read_unpacked = time.perf_counter() - start
    for reader in (late, unpacked):
        if reader.get_all_trials(0, deepcopy=False) != storage.get_all_trials(0, deepcopy=False):
            raise RuntimeError("a late reader saw another study")
    return {
        "trials": trials,
        "trial": slow,
        "trial_own": own,
        "requests": requests,
        "read": read,
        "read_requests": read_requests,
        "read_unpacked": read_unpacked,
        "replay": replay,
        "objects_mb": sum(map(len, fs.objects.values())) / 1e6,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def measure(options: Options) -> dict[str, Any]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return {"rows": [_row(trials) for trials in ((200, 1000) if options.quick else (1000, 10_000))]}


def tables(result: dict[str, Any]) -> list[Table]:
    columns = [
        "finished trials",
        "ask and tell",
        "of it Optuna's own",
        "requests a trial",
        "a late worker reads all",
        "its requests",
        "without packs",
        "of it Optuna's replay",
    ]
    rows = [
        [
            f"{row['trials']:,}",
            seconds(row["trial"]),
            seconds(row["trial_own"]),
            f"{row['requests']:.1f}",
            seconds(row["read"]),
            f"{row['read_requests']:,}",
            seconds(row["read_unpacked"]),
            seconds(row["replay"]),
        ]
        for row in result["rows"]
    ]
    title = f"The journal over a store that takes {1000 * LATENCY:.0f} ms a request, {PARAMETERS} parameters a trial"
    return [Table(title, columns, rows)]


def misses(result: dict[str, Any]) -> list[str]:
    found = []
    for row in result["rows"]:
        if (cost := row["trial"] - row["trial_own"]) > ASK_MARK:
            found.append(f"{row['trials']:,} trials: {seconds(cost)} a trial beyond Optuna's own, not {ASK_MARK} s")
        if row["read"] > READ_MARK:
            found.append(f"{row['trials']:,} trials: a late worker needs {seconds(row['read'])}, not {READ_MARK:.0f} s")
    return found
