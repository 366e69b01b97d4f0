"""Collects the artifacts of one attempt and enforces their limits, from which evidence.json is exempt."""

import json
from collections.abc import Callable
from pathlib import Path

from cogo_dagster.formatting.browser_evidence import FILE_NAME
from cogo_dagster.queue.artifacts.files import MAX_KEPT_BYTES
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import ArtifactFile, Json
from cogo_dagster.text import storable_json

MAX_FILES = 25
MAX_FILE_BYTES = 25 * 1024**2
MAX_TOTAL_BYTES = 100 * 1024**2

CONTENT_TYPES = {
    ".png": "image/png",
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".json": "application/json",
    ".zip": "application/zip",
}


class ArtifactCollector:
    """Collects artifacts in memory, up to the size that an upload keeps there, and the others in a folder.

    Args:
        folder: Returns the private folder, which is created when it is needed.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self.files: list[ArtifactFile] = []
        self._sizes: dict[str, int] = {}
        self._finished = False

    def __contains__(self, name: str) -> bool:
        return any(file.name == name for file in self.files)

    def add(self, name: str, content: bytes) -> None:
        """Add an artifact; its content type follows from the file extension.

        It replaces an artifact of this name: at the time limit, a step that saves a file may end while the evidence is
        collected.

        Raises:
            ExecutionFailed: A limit would be exceeded (`artifact_limit`, permanent), or the attempt has ended.
        """
        self._check(name, len(content))
        self._forget(name)
        if sum(len(file.content or b"") for file in self.files) + len(content) <= MAX_KEPT_BYTES:
            self._record(name, len(content), Path(name), content)
            return
        path = self.path(name)
        path.write_bytes(content)
        self._record(name, len(content), path)

    def add_json(self, name: str, value: Json) -> None:
        """Write a JSON artifact; characters that cannot be stored are replaced."""
        self.add(name, json.dumps(storable_json(value)[0], ensure_ascii=False, indent=2).encode())

    def path(self, name: str) -> Path:
        """Return where a tool should write *name* before `take` is called."""
        return self._folder() / name

    def take(self, name: str) -> None:
        """Add a file that a tool wrote to `path(name)`; it is deleted if it exceeds a limit.

        Raises:
            ExecutionFailed: As for `add`.
        """
        size_bytes = self.path(name).stat().st_size
        try:
            self._check(name, size_bytes)
        except ExecutionFailed:
            self.path(name).unlink()
            raise
        self._forget(name)
        self._record(name, size_bytes, self.path(name))

    def finish(self) -> tuple[ArtifactFile, ...]:
        """Return the artifacts; calls that are still running must not change the files any more."""
        self._finished = True
        return tuple(self.files)

    def discard(self, name: str) -> None:
        """Delete an artifact, if there is one."""
        found = next((file for file in self.files if file.name == name), None)
        if found is not None and not self._finished:
            self._forget(name)
            if found.content is None:
                found.path.unlink()

    def _check(self, name: str, size_bytes: int) -> None:
        if self._finished:
            raise ExecutionFailed(f"The attempt ended before {name} was saved.", error_class="timeout", retryable=True)
        if name == FILE_NAME:
            return  # the record of a failure is small, and also explains that a limit was reached
        others = {other: size for other, size in self._sizes.items() if other not in {name, FILE_NAME}}
        if len(others) >= MAX_FILES:
            raise _limit(f"{name} would be artifact {MAX_FILES + 1} of the job; the limit is {MAX_FILES}.")
        if size_bytes > MAX_FILE_BYTES:
            raise _limit(f"{name} has {size_bytes:,} bytes; the limit for an artifact is {MAX_FILE_BYTES:,}.")
        if sum(others.values()) + size_bytes > MAX_TOTAL_BYTES:
            raise _limit(f"With {name}, the job's artifacts would exceed {MAX_TOTAL_BYTES:,} bytes.")

    def _forget(self, name: str) -> None:
        self.files = [file for file in self.files if file.name != name]
        self._sizes.pop(name, None)

    def _record(self, name: str, size_bytes: int, path: Path, content: bytes | None = None) -> None:
        self.files.append(ArtifactFile(name, CONTENT_TYPES[path.suffix], path, content=content))
        self._sizes[name] = size_bytes


def _limit(message: str) -> ExecutionFailed:
    return ExecutionFailed(message, error_class="artifact_limit", retryable=False)
