"""The files of a job: newly exported files, and cached files of earlier attempts and jobs.

A cache key covers file, version, parameters and node. The artifacts table is the cache: an artifact with that key is
copied from the store instead of being requested from Figma. This includes artifacts of the job's earlier attempts, so
that a snoozed export continues where it stopped.
"""

import asyncio
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from cogo_dagster.queue.artifacts import ArtifactStore, ArtifactStoreError
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import ArtifactFile, Json
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.transports.base import Transport

logger = logging.getLogger(__name__)

MAX_TOTAL_BYTES: Final = 1024**3

CONTENT_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "png": "image/png",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
}


class ExportedFiles:
    """Collects the files of one attempt.

    Args:
        folder: The empty, private folder that they are written to.
        transport: Finds cached artifacts.
        store: The store of cached artifacts.
        job_id: The job of the attempt.
        subject: The part of the cache key that all files share: type, file key, version, parameters. No secrets.
    """

    def __init__(
        self, folder: Path, transport: Transport, store: ArtifactStore, job_id: UUID, subject: Sequence[Json]
    ) -> None:
        self._folder = folder
        self._transport = transport
        self._store = store
        self._job_id = job_id
        self._subject = list(subject)
        self._total_bytes = 0
        self.names: dict[str, str] = {}
        self.added: list[ArtifactFile] = []
        self.cached = 0

    async def load_cached(self, names: Mapping[str, str]) -> None:
        """Take files from the cache.

        Args:
            names: The file name of each node.
        """
        keys = {self._key(node): node for node in names}
        found = await asyncio.to_thread(self._transport.call, "find_cached_artifacts", {"cache_keys": list(keys)})
        for key, document in found.items():
            node, row = keys[key], ArtifactRow.model_validate(document)
            if row.job_id == self._job_id or await asyncio.to_thread(self._copy, node, names[node], row):
                self.names[node] = names[node]
                self.cached += 1

    async def write_json(self, node: str, name: str, value: Json) -> None:
        """Write a JSON value; see `write`."""
        await self.write(node, name, json.dumps(value, ensure_ascii=False).encode())

    async def write(self, node: str, name: str, content: bytes) -> None:
        """Write a file.

        Raises:
            ExecutionFailed: The job's files would exceed the limit (`artifact_limit`, permanent).
        """
        self._count(len(content))
        await asyncio.to_thread((self._folder / name).write_bytes, content)
        self._record(node, name)

    def _copy(self, node: str, name: str, row: ArtifactRow) -> bool:
        target = self._folder / name
        try:
            self._count(row.size_bytes or 0)
            with self._store.open(row.storage_key or "") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            with target.open("rb") as written:
                same = bool(hashlib.file_digest(written, "sha256").hexdigest() == row.sha256)
        except (ArtifactStoreError, OSError) as error:
            logger.info("A cached file cannot be read and is exported again: %s", error)
            same = False
        if same:
            self._record(node, name)
        else:
            target.unlink(missing_ok=True)
            self._total_bytes -= row.size_bytes or 0
        return same

    def _count(self, size_bytes: int) -> None:
        if self._total_bytes + size_bytes > MAX_TOTAL_BYTES:
            raise ExecutionFailed(
                f"The job's files would exceed {MAX_TOTAL_BYTES:,} bytes: export fewer nodes per job.",
                error_class="artifact_limit",
                retryable=False,
            )
        self._total_bytes += size_bytes

    def _record(self, node: str, name: str) -> None:
        content_type = CONTENT_TYPES[name.rpartition(".")[2]]
        self.added.append(ArtifactFile(name, content_type, self._folder / name, self._key(node)))
        self.names[node] = name

    def _key(self, node: str) -> str:
        text = json.dumps([*self._subject, node], sort_keys=True, separators=(",", ":"))
        return f"figma:{hashlib.sha256(text.encode()).hexdigest()}"
