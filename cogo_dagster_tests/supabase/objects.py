"""What Storage stores, the requests to it, and its error responses."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import jwt

from cogo_dagster_tests.supabase.keys import SECRET
from cogo_dagster_tests.supabase.responses import RawResponse

GLOBAL_LIMIT_BYTES: Final = 50 * 1024 * 1024
CHUNK_BYTES: Final = 6 * 1024 * 1024
LIST_LIMIT: Final = 100
URL_KEY: Final = "the-key-that-signs-urls-and-nothing-else!"

_ALLOWED_KEY: Final = re.compile(r"[\w/!\-.*'() &$@=;:+,?]+", re.ASCII)


@dataclass
class Stored:
    """One object."""

    data: bytes
    content_type: str
    cache_control: str
    metadata: Any = None
    id: str = field(default_factory=lambda: str(uuid4()))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def etag(self) -> str:
        """The MD5, as S3 computes it for an upload in one part."""
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


@dataclass
class Bucket:
    """One bucket."""

    id: str
    public: bool = False
    file_size_limit: int | None = None
    allowed_mime_types: list[str] | None = None
    objects: dict[str, Stored] = field(default_factory=dict)


@dataclass
class Upload:
    """One TUS upload in progress."""

    bucket: str
    name: str
    length: int
    metadata: Mapping[str, str]
    data: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class Request:
    """The parts of a request that routes use."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    authorization: str

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body or b"{}")


class StorageError(Exception):
    """An error response of Storage."""

    def __init__(self, status: str, error: str, message: str, code: str, http: int = 400) -> None:
        super().__init__(message)
        self.http = http
        self.document = {"statusCode": status, "error": error, "message": message, "code": code}


def no_bucket() -> StorageError:
    """The bucket is missing."""
    return StorageError("404", "Bucket not found", "Bucket not found", "NoSuchBucket")


def no_object() -> StorageError:
    """The object is missing, or hidden."""
    return StorageError("404", "not_found", "Object not found", "NoSuchKey")


def duplicate(code: str) -> StorageError:
    """It already exists."""
    return StorageError("409", "Duplicate", "The resource already exists", code)


def rejected_by_rls() -> StorageError:
    """Row level security rejects it."""
    return StorageError("403", "Unauthorized", "new row violates row-level security policy", "AccessDenied")


def too_large() -> StorageError:
    """It exceeds a limit."""
    message = "The object exceeded the maximum allowed size"
    return StorageError("413", "Payload too large", message, "EntityTooLarge")


def role_of(request: Request) -> str:
    """Return the role of the token."""
    given = request.authorization
    if not given:
        message = "headers must have required property 'authorization'"
        raise StorageError("400", "Error", message, "InvalidRequest")
    token = given.removeprefix("Bearer ")
    if len(token.split(".")) != 3:
        raise StorageError("403", "Unauthorized", "Invalid Compact JWS", "AccessDenied")
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    except jwt.ExpiredSignatureError:
        raise StorageError("403", "Unauthorized", '"exp" claim timestamp check failed', "AccessDenied") from None
    except jwt.InvalidTokenError:
        raise StorageError("403", "Unauthorized", "signature verification failed", "AccessDenied") from None
    return str(claims.get("role", "anon"))


def check_key(key: str) -> None:
    """Reject names that Storage does not accept."""
    if not _ALLOWED_KEY.fullmatch(key):
        raise StorageError("400", "InvalidKey", f"Invalid key: {key}", "InvalidKey")


def check_content_type(bucket: Bucket, content_type: str) -> None:
    """Reject types that the bucket does not accept; it may accept all of a family, as `image/*`."""
    family = f"{content_type.partition('/')[0]}/*"
    if bucket.allowed_mime_types and not {content_type, family} & set(bucket.allowed_mime_types):
        message = f"mime type {content_type} is not supported"
        raise StorageError("415", "invalid_mime_type", message, "InvalidMimeType")


def row_of(name: str, stored: Stored | None) -> dict[str, Any]:
    """Return an entry of a listing: a folder if there is no object."""
    if stored is None:
        return {"name": name, "id": None, "updated_at": None, "created_at": None, "metadata": None}
    at = stored.created_at.isoformat().replace("+00:00", "Z")
    metadata = {"size": len(stored.data), "mimetype": stored.content_type, "eTag": stored.etag}
    return {"name": name, "id": stored.id, "updated_at": at, "created_at": at, "metadata": metadata}


def as_json(document: Any) -> RawResponse:
    """Return a JSON response."""
    body = json.dumps(document).encode()
    return RawResponse(200, body, (("content-type", "application/json; charset=utf-8"),))
