"""``flyteoptuna dashboard``: a running search in optuna-dashboard."""

from __future__ import annotations

import importlib.util
import inspect
import re
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from flyteoptuna.cli.errors import CommandError, first_line
from flyteoptuna.cli.loading import STUDY_HELP, convert_errors, load_source, study_argument
from flyteoptuna.cli.numbers import SECONDS
from flyteoptuna.cli.running import Snapshot, take_snapshot
from flyteoptuna.cli.tables import printable, short_text
from flyteoptuna.trial import interrupts

if TYPE_CHECKING:
    import optuna

HOST = "127.0.0.1"
# Names of this machine in the `Host` header of a request, with any port, which may have been forwarded.
_LOCAL_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?", re.IGNORECASE)
# Name of the thread that reloads the study.
THREAD_NAME = "follows the search"


@click.command(
    short_help="A running search in optuna-dashboard.",
    help=inspect.cleandoc("""Open optuna-dashboard on a search, read-only, while it runs or once it has ended.

    It prints the address of the page, which this machine alone can reach, and serves it until Ctrl-C, which does
    nothing to the search. The journal of reused pods is read as it grows; any other study is loaded again every few
    seconds, as long as its search runs. Needs optuna-dashboard: pip install 'flyteoptuna[dashboard]'

    \b
      flyteoptuna dashboard flyte://flytesnacks/development/f3a1c9d27e5b84d0
      flyteoptuna dashboard search.study --port 0    any port that is free

    """)
    + f"\n\n{STUDY_HELP}",
)
@study_argument
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of this machine; 0 for any.",
)
@click.option("--every", type=SECONDS, metavar="SECONDS", default=5, show_default=True, help="Between two looks.")
def dashboard(study: str, port: int, every: float) -> None:
    """Open optuna-dashboard on a search."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise CommandError("This needs optuna-dashboard: pip install optuna-dashboard")
    app, name = _dashboard_app(study, every)
    try:
        server = wsgiref.simple_server.make_server(HOST, port, _local_only(_read_only(app)), _Server, _QuietHandler)
    except OSError as error:
        raise CommandError(
            f"Port {port} cannot be had: {first_line(error)}. Give another --port, or 0 for any."
        ) from error
    with server, interrupts.interruptible(), suppress(KeyboardInterrupt):
        click.echo(f"{printable(short_text(name))} is at http://{HOST}:{server.server_port}/dashboard until Ctrl-C")
        server.serve_forever()


App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def _dashboard_app(source: str, every: float) -> tuple[App, str]:
    """The WSGI application of the dashboard, and the name of the study."""
    from optuna.storages import JournalStorage
    from optuna_dashboard import wsgi

    from flyteoptuna.load.load_study import load_journal

    with convert_errors(source):
        journal = load_journal(source)
    if journal is not None:
        return wsgi(JournalStorage(journal)), load_source(source).study_name
    snapshot = take_snapshot(source)
    if snapshot.study is None:
        raise CommandError(f"{source} has no study yet: it is {snapshot.phase}.")
    return _ReloadingApp(source, snapshot, snapshot.study, every), snapshot.study.study_name


class _ReloadingApp:
    """A dashboard that reloads the study while the search runs."""

    def __init__(self, source: str, snapshot: Snapshot, study: optuna.Study, every: float) -> None:
        self._source, self._every = source, every
        self._serve(study)
        if not snapshot.ended:
            threading.Thread(target=self._follow, args=(snapshot,), name=THREAD_NAME, daemon=True).start()

    def _serve(self, study: optuna.Study) -> None:
        from optuna_dashboard import wsgi

        from flyteoptuna.internals.optuna_internals import storage_of

        self._app: App = wsgi(storage_of(study))

    def _follow(self, snapshot: Snapshot) -> None:
        pause = threading.Event()
        while not snapshot.ended:
            pause.wait(self._every)
            snapshot = take_snapshot(self._source, snapshot)
            if snapshot.study is not None and not snapshot.problem:
                self._serve(snapshot.study)

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        return self._app(environ, start)


def _local_only(app: App) -> App:
    """An application that refuses requests for another host.

    A web page from elsewhere can point its own name to this machine, and would then read what is served here.
    """

    def local_only(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if _LOCAL_HOST.fullmatch(environ.get("HTTP_HOST", "")):
            return app(environ, start)
        start("421 Misdirected Request", [("Content-Type", "application/json")])
        return [b'{"reason": "This dashboard is at 127.0.0.1 and localhost only."}']

    return local_only


def _read_only(app: App) -> App:
    """An application that refuses the requests that would change a study."""

    def read_only(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return app(environ, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "This dashboard is read-only."}']

    return read_only


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Log no requests."""
