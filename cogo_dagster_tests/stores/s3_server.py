"""A server with the API of S3 (moto), one per process, that can be made to fail."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any, Final

import pytest
from botocore.loaders import JSONFileLoader  # type: ignore[import-untyped]
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.exceptions import AccessDeniedByLock
from werkzeug.serving import WSGIRequestHandler, make_server

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.artifacts.remote import file_system
from cogo_dagster.queue.artifacts.s3 import S3Objects

BUCKET: Final = "artifacts"
CREDENTIALS: Final = {"key": "test", "secret": "test"}

_ACCOUNT: Final = "123456789012"
_ERRORS: Final = {
    "SlowDown": "503 Slow Down",
    "ExpiredToken": "400 Bad Request",
    "AccessDenied": "403 Forbidden",
    "InternalError": "500 Internal Server Error",
}


@dataclass
class S3Server:
    """A server with one bucket.

    Attributes:
        url: The endpoint.
        error: The code of the error with which every request is answered.
        error_count: How many requests are answered with the error; all by default.
        requests: Method and query of each request.
        undeletable: The ends of the names of objects whose deletion is denied.
    """

    url: str = ""
    error: str | None = None
    error_count: float = float("inf")
    requests: list[tuple[str, str]] = field(default_factory=list)
    undeletable: set[str] = field(default_factory=set)

    @property
    def objects(self) -> dict[str, Any]:
        """The newest version of each object by name."""
        return dict(_backend().buckets[BUCKET].keys.items())

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the options of a client, which retries without pauses.

        Without `verify` every client would read the certificates of all authorities, in 15 ms; the server has no TLS.
        """
        client = {"region_name": "us-east-1", "verify": False}
        return {**CREDENTIALS, "endpoint_url": self.url, "client_kwargs": client, **more}

    def store(self, path: str = BUCKET) -> ArtifactStore:
        """Open a bucket, or a prefix of it.

        All stores share a client: a new one takes 40 ms of CPU time for its first request, and keeps nothing of the
        objects.
        """
        return ArtifactStore(S3Objects(self._client, path))

    def store_with(self, **more: Any) -> ArtifactStore:
        """Open the bucket with a client of its own."""
        return ArtifactStore(S3Objects(file_system("s3", self.options(**more)), BUCKET))

    @cached_property
    def _client(self) -> Any:
        return file_system("s3", self.options())

    def reset(self) -> None:
        """Delete everything and create an empty bucket."""
        self.error, self.error_count = None, float("inf")
        self.requests.clear()
        self.undeletable.clear()
        _backend().reset()
        _backend().create_bucket(BUCKET, "us-east-1")

    def write(self, name: str, content: bytes) -> None:
        """Store an object."""
        _backend().put_object(BUCKET, name, content)

    def remove(self, name: str) -> None:
        """Delete an object if it exists."""
        if name in self.objects:
            _backend().buckets[BUCKET].keys.pop(name)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        self.requests.append((environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")))
        if self.error is not None and self.error_count > 0:
            self.error_count -= 1
            body = f"<Error><Code>{self.error}</Code><Message>{self.error}</Message></Error>".encode()
            start_response(
                _ERRORS[self.error], [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            )
            return [body]
        response: Iterable[bytes] = _application()(environ, start_response)
        return response


class QuietRequestHandler(WSGIRequestHandler):
    """Logs no requests, since the lines take a tenth of the time of a request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Do nothing."""


@cache
def _application() -> Any:
    # Moto's dispatcher lists the folders of all its services twice for each request, and chooses S3.
    return create_backend_app("s3")


def _backend() -> Any:
    return get_backend("s3")[_ACCOUNT]["aws"]


@contextmanager
def s3_server(address: str = "127.0.0.1") -> Iterator[S3Server]:
    """Run the server in a thread."""
    server = S3Server()
    listening = make_server(address, 0, server, threaded=True, request_handler=QuietRequestHandler)
    server.url = f"http://{address}:{listening.port}"
    thread = threading.Thread(target=listening.serve_forever)
    patch = pytest.MonkeyPatch()
    backend_class = type(_backend())
    delete = backend_class.delete_object

    def delete_object(backend: Any, bucket_name: str, key_name: str, *args: Any, **options: Any) -> Any:
        if any(key_name.endswith(end) for end in server.undeletable):
            raise AccessDeniedByLock
        return delete(backend, bucket_name, key_name, *args, **options)

    patch.setattr(backend_class, "delete_object", delete_object)
    # Each client parses its descriptions of AWS again, in 0.3 s; nothing changes the parsed values.
    load = cache(partial(JSONFileLoader.load_file, JSONFileLoader()))
    patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
    thread.start()
    try:
        yield server
    finally:
        patch.undo()
        listening.shutdown()
        thread.join(10)
        listening.server_close()
