"""A store in memory that behaves as object stores do, with faults, turns of its writers, and a count of requests."""

import contextlib
import threading


class Store:
    """What the journal asks of an fsspec filesystem; ``make`` is its conditional create.

    ``fate(operation, name)`` says what becomes of a request: "" it is done, "before" it fails and is not done, "after"
    it is done and its answer is lost, "late" it fails and is done when the next request comes, "killed before" and
    "killed after" its process dies: the thread makes no request any more until ``restart``. ``pause`` is called before
    each request.
    """

    def __init__(self, fate=lambda operation, name: "", pause=lambda: None):
        self.objects = {}
        self.requests = []
        self.late = []
        self.fate = fate
        self.pause = pause
        self.thread = threading.local()

    def restart(self):
        """Start the process of this thread again."""
        self.thread.killed = False

    def kill(self):
        self.thread.killed = True
        raise KilledError

    def request(self, operation, path, do):
        if getattr(self.thread, "killed", False):
            raise KilledError
        self.pause()
        late, self.late = self.late, []
        for each in late:
            with contextlib.suppress(FileExistsError):
                each()
        self.requests.append((operation, path.rpartition("/")[2]))
        fate = self.fate(operation, path.rpartition("/")[2])
        if fate == "late" and operation != "read":
            self.late.append(do)
        if fate in {"before", "late"}:
            raise TimeoutError("the store is slow")
        if fate == "killed before":
            self.kill()
        done = do()
        if fate == "killed after":
            self.kill()
        if fate == "after":
            raise ConnectionResetError("the answer was lost")
        return done

    def make(self, fs, path, body):
        def do():
            if path in self.objects:
                raise FileExistsError(path)
            self.objects[path] = body

        self.request("create", path, do)

    def cat_ranges(self, paths, starts, ends, on_error="return"):
        assert (starts, on_error) == (0, "return") and ends > 0
        answers = []
        for path in paths:
            try:
                answers.append(self.request("read", path, lambda path=path: self._read(path)))
            except Exception as error:
                answers.append(error)
        return answers

    def _read(self, path):
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def ls(self, path, detail):
        assert not detail
        return self.request("list", path, lambda: [name for name in self.objects if name.startswith(f"{path}/")])

    def rm_file(self, path):
        self.request("delete", path, lambda: self.objects.pop(path))

    def invalidate_cache(self, path):
        pass


class KilledError(BaseException):
    """Ends a process where it stands."""


class OverError(BaseException):
    """Ends a thread that will have no turn any more."""


class Turns:
    """Threads of which one runs at a time, from one request to the next, in an order that ``choose`` decides."""

    def __init__(self, choose):
        self.choose = choose
        self.main = threading.Semaphore(0)
        self.mine = threading.local()
        self.over = False

    def pause(self):
        """Let others have their turn; nothing outside of the threads that take turns."""
        if hasattr(self.mine, "turn"):
            self.main.release()
            self.mine.turn.acquire()
            if self.over:
                raise OverError

    def run(self, works):
        """Run functions until all have ended; raises what the first of them raised."""
        turns, errors = {}, []

        def alone(index, work):
            self.mine.turn = turns[index]
            self.mine.turn.acquire()
            try:
                work()
            except BaseException as error:
                errors.append(error)
            finally:
                del turns[index]
                self.main.release()

        threads = []
        for index, work in enumerate(works):
            turns[index] = threading.Semaphore(0)
            threads.append(threading.Thread(target=alone, args=(index, work)))
        for thread in threads:
            thread.start()
        try:
            while turns:
                waiting = sorted(turns)
                turns[waiting[self.choose(len(waiting))]].release()
                self.main.acquire()
        finally:
            # Hypothesis leaves an example that it has no more choices for, and Python waits for threads at its end.
            self.over = True
            while turns:
                next(iter([*turns.values()])).release()
                self.main.acquire()
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]
