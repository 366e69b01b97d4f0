"""Requests to a project's Storage API, retried if that is safe, with readable errors."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from cogo_dagster.queue.artifacts.store_errors import (
    ArtifactNotFound,
    ArtifactRejected,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
)
from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.errors import AccessDenied
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.supabase.project import Project, reason_of

_TRIES: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.3
_TIMEOUT: Final = httpx.Timeout(connect=5, read=30, write=30, pool=10)
_CALL_SECONDS: Final = 60.0
_MIN_BYTES_PER_SECOND: Final = 50_000
_TRANSIENT: Final = frozenset({0, 408, 423, 425, 429, 500, 502, 503, 504, *range(520, 531), 544})

_MESSAGES: Final[Mapping[str, str]] = {
    "NoSuchBucket": "The bucket {bucket} does not exist, or SUPABASE_SERVICE_ROLE_KEY has no access to it: check "
    "COGO_ARTIFACT_BUCKET, and create the bucket as a private one in the project's Storage page, or let the first "
    "upload create it with COGO_ARTIFACT_BUCKET_CREATE=true.",
    "NoSuchKey": "The artifact does not exist any more.",
    "EntityTooLarge": "The artifact is larger than the bucket {bucket} or the project allows: raise the limit in the "
    "project's Storage settings.",
    "InvalidMimeType": "The bucket {bucket} does not accept this type of file: allow every type in its settings.",
    "InvalidKey": "Storage does not accept this name.",
    "AccessDenied": "Storage rejected the key: SUPABASE_SERVICE_ROLE_KEY must be the project's secret key.",
}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "AccessDenied",
    403: "AccessDenied",
    413: "EntityTooLarge",
    415: "InvalidMimeType",
}
_BY_ERROR: Final[Mapping[str, str]] = {
    "Bucket not found": "NoSuchBucket",
    "not_found": "NoSuchKey",
    "Duplicate": "Duplicate",
    "Payload too large": "EntityTooLarge",
    "invalid_mime_type": "InvalidMimeType",
    "Unauthorized": "AccessDenied",
}
"""For older servers that return no code."""

_ALREADY_EXISTS: Final = frozenset({"Duplicate", "KeyAlreadyExists", "BucketAlreadyExists", "ResourceAlreadyExists"})
_FILE_CODES: Final = frozenset({"EntityTooLarge", "InvalidMimeType", "InvalidKey"})
_KEY_CODES: Final = frozenset({"AccessDenied", "InvalidJWT", "SignatureDoesNotMatch", "ExpiredToken"})


class StorageError(ArtifactStoreError):
    """A request to Storage failed. The subclass determines what to do.

    Attributes:
        code: Storage's error code, such as NoSuchBucket; empty if there is none.
        status: The actual status, which Storage puts into the body of an HTTP 400; 0 without a response.
    """

    def __init__(self, message: str, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def is_duplicate(self) -> bool:
        """Whether the object to create exists already; a 409 may also be another error (TransactionError)."""
        return self.code in _ALREADY_EXISTS


class StorageUnavailable(StorageError, ArtifactStoreUnavailable):
    """Storage is unreachable or returned a server error; also every unknown error."""


class StorageRejected(StorageError, ArtifactRejected):
    """Storage will never accept this file."""


class ObjectMissing(StorageError, ArtifactNotFound):
    """The object does not exist."""


class StorageDenied(StorageError, AccessDenied):
    """Storage rejected the key: waiting does not help."""


class StorageApi:
    """One bucket of a project. Thread-safe.

    Every method raises ArtifactStoreError, and returns within a minute, or within the time that a slow connection
    (50 kB/s) needs for the bytes.

    Args:
        project: Address and key of the project.
        bucket: The bucket's name.
        first_pause_seconds: Pause before the first retry.
        call_seconds: Time limit of a request including retries.
    """

    def __init__(
        self,
        project: Project,
        bucket: str,
        *,
        first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
        call_seconds: float = _CALL_SECONDS,
        timeout: httpx.Timeout = _TIMEOUT,
    ) -> None:
        self.url = f"{project.url}/storage/v1"
        self.bucket = bucket
        self._backoff = Backoff(first_pause_seconds, factor=3)
        self._call_seconds = call_seconds
        self._http = project.http_client(timeout, headers=dict(project.headers))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def object_path(self, storage_key: str, verb: str = "") -> str:
        """Return the path of an object's route."""
        return f"/object{verb}/{quote(self.bucket)}/{quote(storage_key)}"

    def request(self, method: str, path: str, *, tries: int = _TRIES, **options: Any) -> httpx.Response:
        """Send a request that may be repeated, with retries; the response is read completely."""
        with self.streamed(method, path, tries=tries, whole=True, **options) as response:
            return response

    def query(self, path: str, body: Mapping[str, Json]) -> tuple[Json, httpx.Response]:
        """Post a query; return the document in the response, and the response."""
        response = self.request("POST", path, json=dict(body))
        return self.document(response), response

    def document(self, response: httpx.Response) -> Json:
        """Return the JSON of a response."""
        try:
            return response.json()
        except (ValueError, RecursionError):
            path = response.url.path
            raise ArtifactStoreUnavailable(f"The response comes from a proxy and not from Storage ({path}).") from None

    @contextlib.contextmanager
    def streamed(
        self, method: str, path: str, *, tries: int = _TRIES, whole: bool = False, **options: Any
    ) -> Iterator[httpx.Response]:
        """Send a request that may be repeated, and yield the response while it arrives, or when it is `whole`."""
        ends_at = time.monotonic() + self._seconds_for(len(options.get("content") or b""))
        pauses = self._backoff.pauses()
        with contextlib.ExitStack() as stack:
            for tries_left in range(tries - 1, -1, -1):
                try:
                    response = self._sent(stack, method, path, ends_at, whole=whole, options=options)
                except StorageError as failure:
                    stack.close()
                    if not tries_left or failure.status not in _TRANSIENT or time.monotonic() > ends_at:
                        raise
                else:
                    yield response
                    return
                time.sleep(next(pauses))

    def chunks(self, response: httpx.Response, chunk_bytes: int) -> Iterator[bytes]:
        """Yield the bytes of a response as they arrive, within the time limit."""
        length = response.headers.get("content-length", "")
        ends_at = time.monotonic() + self._seconds_for(int(length) if length.isdecimal() else 0)
        return _until(ends_at, response.iter_bytes(chunk_bytes))

    def make_bucket(self) -> None:
        """Create the bucket as a private one, unless it exists."""
        try:
            self.request("POST", "/bucket", json={"id": self.bucket, "name": self.bucket, "public": False})
        except StorageError as failure:
            if not failure.is_duplicate:
                raise

    def _seconds_for(self, size_bytes: int) -> float:
        return self._call_seconds + size_bytes / _MIN_BYTES_PER_SECOND

    def _sent(
        self, stack: contextlib.ExitStack, method: str, path: str, ends_at: float, *, whole: bool, options: Any
    ) -> httpx.Response:
        """Send a request once; raises StorageError unless it succeeds."""
        try:
            response = stack.enter_context(self._http.stream(method, self.url + path, **options))
            if response.is_success and not whole:
                return response
            content = b"".join(_until(ends_at, response.iter_bytes()))
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise StorageUnavailable(f"Storage cannot be reached ({reason_of(error).rstrip('.')}).") from error
        read = httpx.Response(response.status_code, headers=response.headers, content=content, request=response.request)
        if not response.is_success:
            raise self._error_of(read)
        return read

    def _error_of(self, response: httpx.Response) -> StorageError:
        status, code, message = _parse_error(response)
        known = code if code in _MESSAGES else "AccessDenied" if code in _KEY_CODES else _BY_STATUS.get(status, "")
        template = _MESSAGES.get(known, "Storage returned {status}: {message}")
        text = template.format(bucket=self.bucket, status=status, message=message)
        return _kind_of(known)(text, code, status)


def _kind_of(code: str) -> type[StorageError]:
    if code in _FILE_CODES:
        return StorageRejected
    if code == "NoSuchKey":
        return ObjectMissing
    return StorageDenied if code == "AccessDenied" else StorageUnavailable


def _until(ends_at: float, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if time.monotonic() > ends_at:
            raise httpx.ReadTimeout("The response arrives too slowly.")
        yield chunk


def _parse_error(response: httpx.Response) -> tuple[int, str, str]:
    """Return the actual status, the code and the message of an error response of any form."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        status = response.status_code
        return status, _BY_STATUS.get(status, ""), response.text.strip()[:200] or response.reason_phrase
    status_code = str(body.get("statusCode", ""))
    status = int(status_code) if status_code.isdecimal() and len(status_code) == 3 else response.status_code
    code = body.get("code") or _BY_ERROR.get(str(body.get("error"))) or _BY_STATUS.get(status, "")
    return status, str(code), str(body.get("message", ""))[:500]
