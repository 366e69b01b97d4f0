"""One attempt of one Figma job, from the metadata request to the result."""

from collections.abc import Mapping, Sequence
from typing import Final

from cogo_dagster.executors.figma.client import FigmaClient
from cogo_dagster.executors.figma.errors import FigmaError
from cogo_dagster.executors.figma.export import NodeExport, check_complete, export_file
from cogo_dagster.executors.figma.files import ExportedFiles
from cogo_dagster.executors.figma.payload import FigmaRequest, FileRequest
from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ArtifactFile, Job, Json
from cogo_dagster.queue.transports.base import Transport

_NO_METADATA: Final = "The token lacks the scope file_metadata:read, so cached files of other jobs were not used."


class FigmaAttempt:
    """Runs one attempt.

    Args:
        client: The client of this attempt.
        batch: The maximum number of nodes per call.
    """

    def __init__(
        self,
        client: FigmaClient,
        job: Job[FigmaRequest],
        workspace: Workspace,
        transport: Transport,
        store: ArtifactStore,
        *,
        batch: int,
    ) -> None:
        self._client = client
        self._job = job
        self._request = job.payload
        self._transport = transport
        self._store = store
        self._workspace = workspace
        self._batch = batch
        self._files: ExportedFiles | None = None
        self._meta: Mapping[str, Json] = {}
        self._notes: list[str] = []

    @property
    def artifacts(self) -> Sequence[ArtifactFile]:
        """The files exported so far."""
        return tuple(self._files.added) if self._files is not None else ()

    async def run(self) -> Json:
        """Export and return the JSON result.

        Raises:
            FigmaError: Figma responded with an error.
            Snooze: The rate limit is exhausted.
            ExecutionFailed: Nodes are missing, see `export.check_complete`, or the network failed.
        """
        version = await self._version()
        subject = [self._job.type, self._request.file_key, version, self._request.parameters]
        if isinstance(self._request, FileRequest):
            subject.append(list(self._request.node_ids))
        self._files = ExportedFiles(self._workspace.folder, self._transport, self._store, self._job.id, subject)
        if isinstance(self._request, FileRequest):
            document = await export_file(self._client, self._request, self._files)
            return self._result(self._files, document, {})
        export = NodeExport(self._client, self._request, self._files, self._batch)
        await export.run()
        check_complete(export, self._files, last_attempt=self._job.attempts >= self._job.max_attempts)
        return self._result(self._files, {}, export.failed)

    async def _version(self) -> Json:
        """Return a value that changes whenever the file does; a version named in the payload never changes.

        If the token lacks the scope for metadata, only files of this job's earlier attempts are reused.
        """
        if self._request.version is not None:
            return ["pinned", self._request.version]
        try:
            self._meta = await self._client.meta(self._request.file_key)
        except FigmaError as error:
            if not error.lacks_scope:
                raise
            self._notes.append(_NO_METADATA)
        known = [self._meta.get("version"), self._meta.get("last_touched_at")]
        return known if any(known) else ["job", str(self._job.id)]

    def _result(self, files: ExportedFiles, document: Mapping[str, Json], failed: Mapping[str, str]) -> Json:
        facts = {
            "file_key": self._request.file_key,
            "name": document.get("name") or self._meta.get("name"),
            "version": self._request.version or document.get("version") or self._meta.get("version"),
            "last_modified": document.get("lastModified") or self._meta.get("last_touched_at"),
        }
        named = {node or "file": name for node, name in files.names.items()}
        counts = {"cached": files.cached, "calls": sum(self._client.calls.values())}
        notes = {"notes": self._notes} if self._notes else {}
        return facts | {"files": named, "failed": dict(failed)} | counts | notes
