"""``flyteoptuna dashboard``: a search in optuna-dashboard, while it runs."""

from __future__ import annotations

import importlib.util
import inspect
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from flyteoptuna.cli.errors import Failure, first
from flyteoptuna.cli.running import Look, look
from flyteoptuna.cli.study_source import STUDY_HELP, load, refused
from flyteoptuna.cli.tables import clean, short

if TYPE_CHECKING:
    import optuna

HOST = "127.0.0.1"
FOLLOWER = "follows the search"
"""Name of the thread that loads a study again."""


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
@click.argument("study", metavar="STUDY")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of this machine; 0 for any.",
)
@click.option(
    "--every", type=click.FloatRange(0.1), metavar="SECONDS", default=5, show_default=True, help="Between two looks."
)
def dashboard(study: str, port: int, every: float) -> None:
    """Open optuna-dashboard on a search."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise Failure("This needs optuna-dashboard: pip install optuna-dashboard")
    app, name = _app(study, every)
    from flyteoptuna.search.local.local_run import interruptible

    try:
        server = wsgiref.simple_server.make_server(HOST, port, _read_only(app), _Server, _Quiet)
    except OSError as error:
        raise Failure(f"Port {port} cannot be had: {first(error)}. Give another --port, or 0 for any.") from error
    with server, interruptible(), suppress(KeyboardInterrupt):
        click.echo(f"{clean(short(name))} is at http://{HOST}:{server.server_port}/dashboard until Ctrl-C")
        server.serve_forever()


App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def _app(source: str, every: float) -> tuple[App, str]:
    """The dashboard of a search, and the name of the study."""
    from optuna.storages import JournalStorage
    from optuna_dashboard import wsgi

    from flyteoptuna.show.load import load_journal

    with refused(source):
        journal = load_journal(source)
    if journal is not None:
        return wsgi(JournalStorage(journal)), load(source).study_name
    found = look(source)
    if found.study is None:
        raise Failure(f"{source} has no study yet: it is {found.phase}.")
    return _Reloaded(source, found, found.study, every), found.study.study_name


class _Reloaded:
    """The dashboard of a study that is loaded again while its search runs."""

    def __init__(self, source: str, found: Look, study: optuna.Study, every: float) -> None:
        self._source, self._every = source, every
        self._serve(study)
        if not found.ended:
            threading.Thread(target=self._follow, args=(found,), name=FOLLOWER, daemon=True).start()

    def _serve(self, study: optuna.Study) -> None:
        from optuna_dashboard import wsgi

        self._app: App = wsgi(study._storage)

    def _follow(self, found: Look) -> None:
        pause = threading.Event()
        while not found.ended:
            pause.wait(self._every)
            found = look(self._source, found)
            if found.study is not None and not found.problem:
                self._serve(found.study)

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        return self._app(environ, start)


def _read_only(app: App) -> App:
    """A dashboard without what changes a study."""

    def served(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return app(environ, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "This dashboard is read-only."}']

    return served


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in Python's own
        """Say nothing of a request."""
