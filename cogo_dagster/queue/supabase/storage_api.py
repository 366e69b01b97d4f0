"""Requests to a project's Storage API, repeated where that is safe, with errors as one sentence."""

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
_SLOWEST_BYTES_A_SECOND: Final = 50_000
_PASSING: Final = frozenset({0, 408, 423, 425, 429, 500, 502, 503, 504, *range(520, 531), 544})

_SENTENCES: Final[Mapping[str, str]] = {
    "NoSuchBucket": "The bucket {bucket} is not there, or SUPABASE_SERVICE_ROLE_KEY may not see it: check "
    "COGO_ARTIFACT_BUCKET, and create the bucket as a private one in the project's Storage page, or let the first "
    "upload create it with COGO_ARTIFACT_BUCKET_CREATE=true.",
    "NoSuchKey": "The artifact is not there any more.",
    "EntityTooLarge": "The artifact is larger than the bucket {bucket} or the project allows: raise the limit in the "
    "project's Storage settings.",
    "InvalidMimeType": "The bucket {bucket} does not take this type of file: allow every type in its settings.",
    "InvalidKey": "Storage does not take this name.",
    "AccessDenied": "Storage refuses the key: SUPABASE_SERVICE_ROLE_KEY must be the project's secret key.",
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
"""For servers that do not say the code yet."""

_THERE_ALREADY: Final = frozenset({"Duplicate", "KeyAlreadyExists", "BucketAlreadyExists", "ResourceAlreadyExists"})
_OF_THIS_FILE: Final = frozenset({"EntityTooLarge", "InvalidMimeType", "InvalidKey"})
_OF_THE_KEY: Final = frozenset({"AccessDenied", "InvalidJWT", "SignatureDoesNotMatch", "ExpiredToken"})


class StorageRefused(ArtifactStoreError):
    """Storage answered with an error, or not at all. The subclass says what to do about it.

    Attributes:
        code: Storage's own, such as NoSuchBucket; empty where it says none.
        status: The true one, which Storage hides in the body of an HTTP 400; 0 without an answer.
    """

    def __init__(self, sentence: str, code: str = "", status: int = 0) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status

    @property
    def is_duplicate(self) -> bool:
        """Whether what was to be made is there already; a 409 may also be trouble (TransactionError)."""
        return self.code in _THERE_ALREADY


class StorageAway(StorageRefused, ArtifactStoreUnavailable):
    """Storage is away or in trouble; also every error that is not told apart."""


class StorageRejected(StorageRefused, ArtifactRejected):
    """Storage will never take this file."""


class ObjectMissing(StorageRefused, ArtifactNotFound):
    """The object is not there."""


class StorageDenied(StorageRefused, AccessDenied):
    """Storage refuses the key: waiting does not help."""


class StorageApi:
    """One bucket of a project. Thread-safe.

    Every method raises ArtifactStoreError, and ends within a minute, or as long as a slow connection (50 kB/s) needs
    for the bytes.

    Args:
        project: Where, and with which key.
        bucket: Its name.
        first_pause_seconds: Wait before the first repeat.
        call_seconds: How long a request is repeated.
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
        """Send a request that may be repeated, until it is answered; the answer is read whole."""
        with self.streamed(method, path, tries=tries, whole=True, **options) as response:
            return response

    def ask(self, path: str, question: Mapping[str, Json]) -> tuple[Json, httpx.Response]:
        """Post a question; return the document that answers it, and the answer it came in."""
        response = self.request("POST", path, json=dict(question))
        return self.document(response), response

    def document(self, response: httpx.Response) -> Json:
        """Return the JSON of an answer."""
        try:
            return response.json()
        except (ValueError, RecursionError):
            path = response.url.path
            raise ArtifactStoreUnavailable(f"Something before Storage answered in its place ({path}).") from None

    @contextlib.contextmanager
    def streamed(
        self, method: str, path: str, *, tries: int = _TRIES, whole: bool = False, **options: Any
    ) -> Iterator[httpx.Response]:
        """Send a request that may be repeated, and yield the answer while it comes in, or once it is there `whole`."""
        ends_at = time.monotonic() + self._seconds_for(len(options.get("content") or b""))
        pauses = self._backoff.pauses()
        with contextlib.ExitStack() as stack:
            for tries_left in range(tries - 1, -1, -1):
                try:
                    response = self._answered(stack, method, path, ends_at, whole=whole, options=options)
                except StorageRefused as refused:
                    stack.close()
                    if not tries_left or refused.status not in _PASSING or time.monotonic() > ends_at:
                        raise
                else:
                    yield response
                    return
                time.sleep(next(pauses))

    def chunks(self, response: httpx.Response, chunk_bytes: int) -> Iterator[bytes]:
        """Yield the bytes of an answer as they come in, for as long as they may take."""
        told = response.headers.get("content-length", "")
        ends_at = time.monotonic() + self._seconds_for(int(told) if told.isdecimal() else 0)
        return _until(ends_at, response.iter_bytes(chunk_bytes))

    def make_bucket(self) -> None:
        """Make the bucket, private, unless somebody was faster."""
        try:
            self.request("POST", "/bucket", json={"id": self.bucket, "name": self.bucket, "public": False})
        except StorageRefused as refused:
            if not refused.is_duplicate:
                raise

    def _seconds_for(self, size_bytes: int) -> float:
        return self._call_seconds + size_bytes / _SLOWEST_BYTES_A_SECOND

    def _answered(
        self, stack: contextlib.ExitStack, method: str, path: str, ends_at: float, *, whole: bool, options: Any
    ) -> httpx.Response:
        """Send it once; raise StorageRefused unless the answer is a success."""
        try:
            response = stack.enter_context(self._http.stream(method, self.url + path, **options))
            if response.is_success and not whole:
                return response
            content = b"".join(_until(ends_at, response.iter_bytes()))
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise StorageAway(f"Storage cannot be reached ({reason_of(error).rstrip('.')}).") from error
        read = httpx.Response(response.status_code, headers=response.headers, content=content, request=response.request)
        if not response.is_success:
            raise self._refused(read)
        return read

    def _refused(self, response: httpx.Response) -> StorageRefused:
        status, code, message = _told(response)
        known = code if code in _SENTENCES else "AccessDenied" if code in _OF_THE_KEY else _BY_STATUS.get(status, "")
        sentence = _SENTENCES.get(known, "Storage answered {status}: {message}")
        sentence = sentence.format(bucket=self.bucket, status=status, message=message)
        return _kind_of(known)(sentence, code, status)


def _kind_of(code: str) -> type[StorageRefused]:
    if code in _OF_THIS_FILE:
        return StorageRejected
    if code == "NoSuchKey":
        return ObjectMissing
    return StorageDenied if code == "AccessDenied" else StorageAway


def _until(ends_at: float, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if time.monotonic() > ends_at:
            raise httpx.ReadTimeout("The answer comes in too slowly.")
        yield chunk


def _told(response: httpx.Response) -> tuple[int, str, str]:
    """Return the true status, the code and the message of an error answer, of whatever shape."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        status = response.status_code
        return status, _BY_STATUS.get(status, ""), response.text.strip()[:200] or response.reason_phrase
    told = str(body.get("statusCode", ""))
    status = int(told) if told.isdecimal() and len(told) == 3 else response.status_code
    code = body.get("code") or _BY_ERROR.get(str(body.get("error"))) or _BY_STATUS.get(status, "")
    return status, str(code), str(body.get("message", ""))[:500]
