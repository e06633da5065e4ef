"""An S3 server, and flytekit's access to it."""

import threading
from contextlib import contextmanager

import fsspec
from flytekit.configuration import DataConfig, S3Config
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.data_persistence import FileAccessProvider

CODES = {403: "AccessDenied", 500: "InternalError", 503: "ServiceUnavailable"}


class Server:
    """An S3 server on a free port of this machine, that does one request at a time: its checks are not atomic.

    ``fails(method, path)`` is the status with which a request fails, 0 if it is done.
    """

    def __init__(self):
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        lock, app = threading.Lock(), DomainDispatcherApplication(create_backend_app)
        self.ignores_conditions, self.fails, self.requests = False, lambda method, path: 0, []

        def one(environ, start_response):
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            self.requests.append((method, path))
            if status := self.fails(method, path):
                start_response(f"{status} Failed", [("Content-Type", "application/xml")])
                return [b"<Error><Code>%s</Code><Message>no</Message></Error>" % CODES[status].encode()]
            if self.ignores_conditions:
                environ.pop("HTTP_IF_NONE_MATCH", None)
            with lock:
                return [b"".join(app(environ, start_response))]

        self.server = make_server("127.0.0.1", 0, one, threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.options = {
            "key": "k",
            "secret": "s",
            "endpoint_url": f"http://127.0.0.1:{self.server.server_port}",
            "client_kwargs": {"region_name": "eu-west-1"},
        }

    def fs(self):
        return fsspec.filesystem("s3", **self.options)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @contextmanager
    def as_flytes_store(self, folder, prefix):
        """Let flytekit keep its data under a prefix of the server."""
        config = S3Config(endpoint=self.options["endpoint_url"], access_key_id="k", secret_access_key="s", retries=1)
        access = FileAccessProvider(str(folder), prefix, data_config=DataConfig(s3=config))
        context = FlyteContextManager.current_context().with_file_access(access)
        with FlyteContextManager.with_context(context):
            yield


@contextmanager
def serve_bucket():
    """A server that has a bucket, which moto shares among the servers of a process."""
    server = Server()
    try:
        server.fs().makedirs("bucket", exist_ok=True)
        yield server
    finally:
        server.close()
