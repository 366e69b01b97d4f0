"""Objects in S3: listing in pages and deletion of many objects with one request."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from cogo_dagster.queue.artifacts.remote import Listed, RemoteObjects
from cogo_dagster.queue.artifacts.store_errors import ArtifactStoreError


class S3Objects(RemoteObjects):
    """Objects below one prefix of a bucket with the API of S3.

    s3fs lists a prefix completely before it returns, and its bulk deletion ignores the errors of single objects;
    therefore both are requested here.
    """

    def __init__(self, files: Any, path: str) -> None:
        super().__init__(files, "s3", path)
        self._bucket, _, self._prefix = self.root.partition("/")

    def _listed(self, prefix: str) -> Iterator[Listed]:
        arguments = {"Bucket": self._bucket, "Prefix": self._key(prefix)}
        while True:
            page = self.files.call_s3("list_objects_v2", **arguments)
            now = _server_time(page)
            for stored in page.get("Contents", ()):
                yield Listed(self._name(stored["Key"]), stored["LastModified"], now)
            if not page.get("NextContinuationToken"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def _delete(self, names: Sequence[str]) -> dict[str, ArtifactStoreError]:
        objects = [{"Key": self._key(name)} for name in names]
        response = self.files.call_s3("delete_objects", Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        return {
            self._name(error["Key"]): ArtifactStoreError(
                f"The artifact {self._name(error['Key'])} cannot be deleted: "
                f"{error.get('Message') or error.get('Code')}."
            )
            for error in response.get("Errors", ())
        }

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}".lstrip("/")

    def _name(self, key: str) -> str:
        return key.removeprefix(f"{self._prefix}/") if self._prefix else key


def _server_time(response: dict[str, Any]) -> datetime:
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
