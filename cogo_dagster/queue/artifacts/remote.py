"""Artifact stores in object storage: S3, Google Cloud Storage and Azure Blob Storage, accessed with fsspec."""

import errno
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Final, cast
from urllib.parse import quote
from uuid import uuid4

from cogo_dagster.queue.artifacts.files import CHUNK_BYTES, LocalFile
from cogo_dagster.queue.artifacts.store import StoredObject
from cogo_dagster.queue.artifacts.store_errors import (
    ArtifactNotFound,
    ArtifactRejected,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
)

PART_BYTES: Final = 8 << 20
"""Larger files are uploaded in parts of this size; S3 requires at least 5 MiB."""

_IN_MEMORY_BYTES: Final = 8 << 20
_DELETE_BATCH: Final = 500
_PERMANENT: Final = frozenset({errno.ENAMETOOLONG, errno.EMSGSIZE})


class ObjectStorageMissing(Exception):
    """The client of the object storage is not installed; the message contains the command that installs it."""


@dataclass(frozen=True, slots=True)
class StorageClient:
    """What differs between the clients of the object storages.

    Attributes:
        package: The package that implements the fsspec file system; the extra of this project has the scheme's name.
        options: Options of the file system, which limit the duration of calls.
        implementation: The class of the file system, if it is not the one that fsspec knows.
        content_type: The argument of an upload with the content type.
        download_name: The argument of a signed URL with the Content-Disposition, if supported.
    """

    package: str
    options: Mapping[str, Any] = field(default_factory=dict)
    implementation: str | None = None
    content_type: str | None = None
    download_name: str | None = None


CLIENTS: Final[Mapping[str, StorageClient]] = {
    "s3": StorageClient(
        package="s3fs",
        options={
            "config_kwargs": {
                "connect_timeout": 10,
                "read_timeout": 60,
                "retries": {"mode": "standard", "max_attempts": 3},
                "signature_version": "s3v4",
            }
        },
        content_type="ContentType",
        download_name="ResponseContentDisposition",
    ),
    "gs": StorageClient(
        package="gcsfs",
        options={"timeout": 60},
        # The default one looks up the type of the bucket, by gRPC and with a permission for buckets, for up to 60 s.
        implementation="gcsfs.core.GCSFileSystem",
        content_type="content_type",
    ),
    "az": StorageClient(package="adlfs", options={"connection_timeout": 10, "read_timeout": 60}),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing.

    Attributes:
        now: The time of the listing by the storage's clock.
    """

    name: str
    modified_at: datetime
    now: datetime


class RemoteObjects:
    """Objects below one prefix of a bucket; see `ObjectStore`.

    Args:
        files: The file system; see `file_system`.
        scheme: A key of `CLIENTS`.
        path: The bucket, or the bucket and a prefix, such as `artifacts/production`.
    """

    redirects_inline = False

    def __init__(self, files: Any, scheme: str, path: str) -> None:
        self.scheme = scheme
        self.client = CLIENTS[scheme]
        self.root = path.strip("/")
        self.files = files
        self._clock_offset = timedelta()

    @property
    def where(self) -> str:
        """The URL of the store, for messages."""
        return f"The artifact store {self._url('').rstrip('/')}"

    def close(self) -> None:
        """Do nothing: the client closes its connections when it is deleted."""

    def check(self) -> None:
        """Store and delete a small object."""
        name = f"reports/.{uuid4().hex}.part"
        with self._raising(name):
            self.files.pipe_file(self.path(name), b"cogo")
            self.files.rm_file(self.path(name))

    def put(self, name: str, file: LocalFile, content_type: str) -> StoredObject:
        """Upload a file, in parts if it is large; return the size and hash of the stored object.

        S3 reports the MD5 of an object that was uploaded in one request; any other object is read back.
        """
        options = {self.client.content_type: content_type} if self.client.content_type else {}
        with self._raising(name):
            if file.size_bytes <= PART_BYTES:
                self.files.pipe_file(self.path(name), b"".join(file.chunks()), **options)
            else:
                self._put_parts(name, file, options)
            stored = self.files.info(self.path(name))
        if stored["size"] == file.size_bytes and str(stored.get("ETag")).strip('"') == file.md5:
            return StoredObject(file.size_bytes, file.sha256)
        return self._read_back(name)

    def open(self, name: str) -> BinaryIO:
        """Download an object into a temporary file, which is deleted when it is closed."""
        copy = cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115 - closed by the caller
        try:
            with self._raising(name), self.files.open(self.path(name), "rb", cache_type="readahead") as stored:
                while chunk := stored.read(CHUNK_BYTES):
                    copy.write(chunk)
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy

    def delete(self, names: Sequence[str]) -> Mapping[str, ArtifactStoreError]:
        """Delete objects in batches; missing ones are ignored."""
        failed: dict[str, ArtifactStoreError] = {}
        for first in range(0, len(names), _DELETE_BATCH):
            batch = names[first : first + _DELETE_BATCH]
            with self._raising(batch[0]):
                failed |= self._delete(batch)
        return failed

    def address(self, names: Sequence[str]) -> str:
        """Return the URL of the object for clients of the storage."""
        return self._url(names[0])

    def signed_url(self, name: str, expires_seconds: int, download_name: str | None) -> str | None:
        """Return a URL that gives anyone access for a limited time; None if the credentials cannot sign URLs."""
        options: dict[str, str] = {}
        if download_name and self.client.download_name:
            options[self.client.download_name] = f"attachment; filename*=UTF-8''{quote(download_name, safe='')}"
        with self._raising(name):
            self.files.info(self.path(name))
            try:
                return str(self.files.sign(self.path(name), expiration=expires_seconds, **options))
            except (NotImplementedError, AttributeError):  # credentials without a private key
                return None

    def names(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        """List the objects below a prefix; the age is measured by the storage's clock."""
        with self._raising(prefix):
            for listed in self._listed(prefix):
                if listed.modified_at < listed.now - timedelta(seconds=older_than_seconds):
                    yield listed.name

    def read_marker(self, name: str) -> bytes | None:
        """Read a small object."""
        with self._raising(name):
            try:
                return bytes(self.files.cat_file(self.path(name)))
            except FileNotFoundError:
                self._require_bucket()
                return None

    def write_marker(self, name: str, content: bytes, *, replace: bool) -> bool:
        """Write a small object, unless it exists and must not be replaced (a conditional write)."""
        with self._raising(name):
            try:
                self.files.pipe_file(self.path(name), content, mode="overwrite" if replace else "create")
            except FileExistsError:
                return False
            with suppress(OSError):  # used to measure ages only
                self._clock_offset = _modified_at(self.files.info(self.path(name))) - datetime.now(UTC)
        return True

    def _put_parts(self, name: str, file: LocalFile, options: Mapping[str, str]) -> None:
        stream = self.files.open(self.path(name), "wb", block_size=PART_BYTES, autocommit=False, **options)
        try:
            for chunk in file.chunks():
                stream.write(chunk)
            stream.close()
            stream.commit()
        except BaseException:
            stream.closed = True  # otherwise the incomplete object is stored when the stream is deleted
            with suppress(Exception):
                stream.discard()
            raise

    def _read_back(self, name: str) -> StoredObject:
        digest, size_bytes = hashlib.sha256(), 0
        with self._raising(name), self.files.open(self.path(name), "rb", cache_type="readahead") as read:
            while chunk := read.read(CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
        return StoredObject(size_bytes, digest.hexdigest())

    def _listed(self, prefix: str) -> Iterator[Listed]:
        """List the objects below a prefix; nothing if the prefix does not exist.

        The whole list is held in memory.
        """
        try:
            found = self.files.find(self.path(prefix), detail=True)
        except FileNotFoundError:
            self._require_bucket()
            return
        now = datetime.now(UTC) + self._clock_offset
        for path, stored in found.items():
            yield Listed(path.removeprefix(f"{self.root}/"), _modified_at(stored), now)

    def _delete(self, names: Sequence[str]) -> dict[str, ArtifactStoreError]:
        """Delete with requests that run concurrently; if one fails, one after the other."""
        try:
            self.files.rm([self.path(name) for name in names])
        except OSError:
            return self._delete_each(names)
        return {}

    def _delete_each(self, names: Sequence[str]) -> dict[str, ArtifactStoreError]:
        failed: dict[str, ArtifactStoreError] = {}
        for name in names:
            try:
                self.files.rm_file(self.path(name))
            except FileNotFoundError:
                continue
            except PermissionError as error:
                failed[name] = ArtifactStoreError(f"The artifact {name} cannot be deleted: {_reason(error)}.")
        return failed

    def path(self, name: str) -> str:
        """Return the path of an object for the client: bucket, prefix and name."""
        return f"{self.root}/{name}"

    def _url(self, name: str) -> str:
        return f"{self.scheme}://{self.path(name)}"

    @contextmanager
    def _raising(self, name: str) -> Iterator[None]:
        """Raise a store error for an error of the client; an unknown one means that the store is unavailable."""
        try:
            yield
        except FileNotFoundError:
            self._require_bucket()
            raise ArtifactNotFound(f"The artifact {name} is not in {self._url('')}.") from None
        except PermissionError as error:
            raise ArtifactStoreUnavailable(
                f"{self.where} rejects the credentials: {_reason(error)}. Check the key and its permissions to read, "
                "write, list and delete objects."
            ) from error
        except OSError as error:
            if error.errno in _PERMANENT:
                raise ArtifactRejected(f"{self.where} does not accept {name}: {_reason(error)}.") from error
            raise ArtifactStoreUnavailable(f"{self.where} is not available: {_reason(error)}.") from error
        except ArtifactStoreError:
            raise
        except Exception as error:  # clients raise errors of several libraries
            raise ArtifactStoreUnavailable(
                f"{self.where} is not available: {type(error).__name__}: {_reason(error)}."
            ) from error

    def _require_bucket(self) -> None:
        """Raise ArtifactStoreUnavailable if the bucket does not exist: the clients report it as a missing object."""
        bucket = self.root.partition("/")[0]
        try:
            exists = self.files.exists(bucket)
        except Exception as error:
            raise ArtifactStoreUnavailable(f"{self.where} is not available: {_reason(error)}.") from error
        if not exists:
            raise ArtifactStoreUnavailable(
                f"The bucket {bucket} of {self._url('')} does not exist: create it, or correct COGO_ARTIFACT_URL."
            )


def file_system(scheme: str, credentials: Mapping[str, Any]) -> Any:
    """Return the fsspec file system of a key of `CLIENTS`, with limits on the duration of calls.

    Args:
        credentials: Credentials and endpoint as options of the file system; the client searches for missing ones.

    Raises:
        ObjectStorageMissing: The client's package is not installed.
    """
    import fsspec  # type: ignore[import-untyped] # noqa: PLC0415 - the clients take seconds to import

    client = CLIENTS[scheme]
    options = {**client.options, **credentials}
    if client.implementation:
        fsspec.register_implementation(scheme, client.implementation, clobber=True)
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        raise ObjectStorageMissing(
            f"A storage URL begins with {scheme}://, which needs the package {client.package}: install it with "
            f"`pip install 'cogo-dagster[{scheme}]'`, or in a clone with `uv sync --extra {scheme}`."
        ) from error


def _modified_at(stored: Mapping[str, Any]) -> datetime:
    """Return the time of the last modification, for which each client has a name of its own."""
    value = stored.get("LastModified") or stored.get("last_modified") or stored.get("mtime") or stored.get("updated")
    moment = datetime.fromisoformat(value) if isinstance(value, str) else cast("datetime", value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _reason(error: BaseException) -> str:
    return (str(error.strerror) if isinstance(error, OSError) and error.strerror else str(error)).rstrip(".")[:300]
