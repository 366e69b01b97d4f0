"""Requests to a project's Storage API, repeated where that is safe, with errors as one sentence."""

import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from cogo_dagster.queue.artifacts import ArtifactStoreError
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.supabase.project import Project

_TRIES: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.3
_TIMEOUT: Final = httpx.Timeout(connect=5, read=60, write=60, pool=30)
_PASSING: Final = frozenset({408, 423, 425, 429, 500, 502, 503, 504, *range(520, 531), 544})

_SENTENCES: Final[Mapping[str, str]] = {
    "NoSuchBucket": "The bucket {bucket} is not there.",
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


class StorageRefused(ArtifactStoreError):
    """Storage answered with an error.

    Attributes:
        code: Storage's own, such as NoSuchBucket; empty where it says none.
        status: The true one, which Storage hides in the body of an HTTP 400.
    """

    def __init__(self, sentence: str, code: str, status: int) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status

    @property
    def is_duplicate(self) -> bool:
        """Whether what was to be made is there already; a 409 may also be trouble (TransactionError)."""
        return self.code in _THERE_ALREADY


class StorageApi:
    """One bucket of a project. Thread-safe.

    Every method raises ArtifactStoreError.

    Args:
        project: Where, and with which key.
        bucket: Its name.
        first_pause_seconds: Wait before the first repeat.
    """

    def __init__(self, project: Project, bucket: str, *, first_pause_seconds: float = _FIRST_PAUSE_SECONDS) -> None:
        self.url = f"{project.url}/storage/v1"
        self.bucket = bucket
        self._first_pause_seconds = first_pause_seconds
        self._http = project.http_client(_TIMEOUT, headers=dict(project.headers))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def object_path(self, storage_key: str, verb: str = "") -> str:
        """Return the path of an object's route."""
        return f"/object{verb}/{quote(self.bucket)}/{quote(storage_key)}"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request that may be repeated, until it is answered; the answer is read whole."""
        with self.streamed(method, path, whole=True, **options) as response:
            return response

    def ask(self, path: str, question: Mapping[str, Json]) -> tuple[Json, httpx.Response]:
        """Post a question; return the document that answers it, and the answer it came in."""
        response = self.request("POST", path, json=dict(question))
        try:
            return response.json(), response
        except ValueError:
            raise ArtifactStoreError(f"Something before Storage answered in its place ({path}).") from None

    @contextlib.contextmanager
    def streamed(self, method: str, path: str, *, whole: bool = False, **options: Any) -> Iterator[httpx.Response]:
        """Send a request that may be repeated, and yield the answer while it comes in, or once it is there `whole`."""
        with contextlib.ExitStack() as stack:
            pause_seconds = self._first_pause_seconds
            for tries_left in range(_TRIES - 1, -1, -1):
                refused = None
                try:
                    response = stack.enter_context(self._http.stream(method, self.url + path, **options))
                    if whole or not response.is_success:
                        response.read()
                    if not response.is_success:
                        refused = self._refused(response)
                except httpx.HTTPError as error:
                    refused = StorageRefused(f"Storage cannot be reached ({_reason(error)}).", "", 0)
                if refused is None:
                    yield response
                    return
                stack.close()
                if not tries_left or (refused.status and refused.status not in _PASSING):
                    raise refused
                time.sleep(pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                pause_seconds *= 3

    def make_bucket(self) -> None:
        """Make the bucket, private, unless somebody was faster."""
        try:
            self.request("POST", "/bucket", json={"id": self.bucket, "name": self.bucket, "public": False})
        except StorageRefused as refused:
            if not refused.is_duplicate:
                raise

    def _refused(self, response: httpx.Response) -> StorageRefused:
        status, code, message = _told(response)
        sentence = _SENTENCES.get(code) or _SENTENCES.get(
            _BY_STATUS.get(status, ""), "Storage answered {status}: {message}"
        )
        return StorageRefused(sentence.format(bucket=self.bucket, status=status, message=message), code, status)


def _told(response: httpx.Response) -> tuple[int, str, str]:
    """Return the true status, the code and the message of an error answer, of whatever shape."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        status = response.status_code
        return status, _BY_STATUS.get(status, ""), response.text.strip()[:200] or response.reason_phrase
    told = str(body.get("statusCode", ""))
    status = int(told) if told.isdecimal() else response.status_code
    code = body.get("code") or _BY_ERROR.get(str(body.get("error"))) or _BY_STATUS.get(status, "")
    return status, str(code), str(body.get("message", ""))


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
