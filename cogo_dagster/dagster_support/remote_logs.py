"""The output of Dagster's runs in object storage, so that the web server shows runs of other machines."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dagster import DagsterInstance
from dagster._core.storage.cloud_storage_compute_log_manager import (
    CloudStorageComputeLogManager,
    PollingComputeLogSubscriptionManager,
)
from dagster._core.storage.compute_log_manager import CapturedLogSubscription, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager

_UPLOAD_SECONDS: Final = 30
_URL_SECONDS: Final = 3_600
_LOGGER: Final = logging.getLogger("dagster.compute_log_manager")


class _LocalOutput(LocalComputeLogManager):
    """Local files, of which those that could not be uploaded are kept.

    Attributes:
        kept: The keys of the output that could not be uploaded.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.kept: set[tuple[str, ...]] = set()

    def delete_logs(self, log_key: Sequence[str] | None = None, prefix: Sequence[str] | None = None) -> None:
        """Delete files, except those to keep."""
        if log_key is None or tuple(log_key) not in self.kept:
            super().delete_logs(log_key, prefix)


class RemoteComputeLogs(CloudStorageComputeLogManager[DagsterInstance]):
    """Copies the output of a step to object storage every 30 seconds and at its end.

    A failed upload fails no run: the output remains in the local folder, and a warning is logged.

    Args:
        files: An fsspec file system.
        root: The bucket, or the bucket and a prefix.
        local: The folder for the output of running steps.
    """

    def __init__(self, files: Any, root: str, local: Path) -> None:
        self._files = files
        self._root = root
        self._local = _LocalOutput(str(local))
        self._subscriptions = PollingComputeLogSubscriptionManager(self)  # type: ignore[no-untyped-call]

    @property
    def local_manager(self) -> LocalComputeLogManager:
        """Captures the output in local files."""
        return self._local

    @property
    def upload_interval(self) -> int:
        """Seconds between two uploads of incomplete output."""
        return _UPLOAD_SECONDS

    def delete_logs(self, log_key: Sequence[str] | None = None, prefix: Sequence[str] | None = None) -> None:
        """Delete the output of a step, or of all steps below a prefix."""
        self._local.delete_logs(log_key, prefix)
        with suppress(FileNotFoundError):
            if log_key:
                names = [self._path(log_key, kind, partial) for kind in ComputeIOType for partial in (False, True)]
                self._files.rm([name for name in names if self._files.exists(name)])
            elif prefix:
                self._files.rm("/".join([self._root, *prefix]), recursive=True)

    def download_url_for_type(self, log_key: Sequence[str], io_type: ComputeIOType) -> str | None:
        """Return a signed URL of the complete output."""
        if not self.is_capture_complete(log_key):
            return None
        try:
            return str(self._files.sign(self._path(log_key, io_type), expiration=_URL_SECONDS))
        except (NotImplementedError, AttributeError):  # credentials without a private key
            return None

    def display_path_for_type(self, log_key: Sequence[str], io_type: ComputeIOType) -> str:
        """Return the URL for clients of the storage."""
        return str(self._files.unstrip_protocol(self._path(log_key, io_type)))

    def cloud_storage_has_logs(self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False) -> bool:
        """Whether the storage has the output."""
        return bool(self._files.exists(self._path(log_key, io_type, partial)))

    def upload_to_cloud_storage(self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False) -> None:
        """Upload the output as far as it is written."""
        source = Path(self._local.get_captured_local_path(log_key, IO_TYPE_EXTENSION[io_type]))
        if partial and not (source.is_file() and source.stat().st_size):
            return
        try:
            source.parent.mkdir(parents=True, exist_ok=True)
            source.touch()
            self._files.put_file(str(source), self._path(log_key, io_type, partial))
        except Exception as error:  # noqa: BLE001 - the output is less important than the run
            _LOGGER.warning("The output of %s could not be uploaded: %s", "/".join(log_key), error)
            if not partial:
                self._local.kept.add(tuple(log_key))

    def download_from_cloud_storage(
        self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False
    ) -> None:
        """Download the output into the local folder."""
        target = Path(self._local.get_captured_local_path(log_key, IO_TYPE_EXTENSION[io_type], partial=partial))
        target.parent.mkdir(parents=True, exist_ok=True)
        self._files.get_file(self._path(log_key, io_type, partial), str(target))

    def get_log_keys_for_log_key_prefix(self, log_key_prefix: Sequence[str], io_type: ComputeIOType) -> list[list[str]]:
        """Return the keys of the output below a prefix."""
        try:
            names = self._files.find("/".join([self._root, *log_key_prefix]))
        except FileNotFoundError:
            return []
        end = f".{IO_TYPE_EXTENSION[io_type]}"
        return [[*log_key_prefix, name.rpartition("/")[2].removesuffix(end)] for name in names if name.endswith(end)]

    def on_subscribe(self, subscription: CapturedLogSubscription) -> None:
        """Poll the storage for the subscriber's output."""
        self._subscriptions.add_subscription(subscription)

    def on_unsubscribe(self, subscription: CapturedLogSubscription) -> None:
        """Stop polling for the subscriber."""
        self._subscriptions.remove_subscription(subscription)

    def _path(self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False) -> str:
        name = f"{log_key[-1]}.{IO_TYPE_EXTENSION[io_type]}" + (".partial" if partial else "")
        return "/".join([self._root, *log_key[:-1], name])
