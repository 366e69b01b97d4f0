"""Exports the nodes of one attempt: first those in the cache, then the others in batches.

A batch that may be too large is halved, and the length of its URL is limited. A node that cannot be exported is
recorded as failed. The job fails permanently only if no node could be exported, and is retried if a retry may succeed.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cogo_dagster.executors.figma.client import FigmaClient, LinkExpired
from cogo_dagster.executors.figma.errors import FigmaError
from cogo_dagster.executors.figma.files import ExportedFiles
from cogo_dagster.executors.figma.identifiers import file_stem, ids_characters
from cogo_dagster.executors.figma.payload import FigmaRequest, ImagesRequest
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import Json

MAX_HALVINGS: Final = 32
"""Calls are expensive: after this many halvings, a failing batch is not split any more."""

MAX_IDS_CHARACTERS: Final = 4_000
"""Of the encoded ids in a URL; proxies and servers accept URLs of some 8,000 characters."""

MAX_CONCURRENT_DOWNLOADS: Final = 4
_SIGNATURES: Final[Mapping[str, bytes]] = {"png": b"\x89PNG", "jpg": b"\xff\xd8", "pdf": b"%PDF", "svg": b"<svg"}


class NodeExport:
    """Exports nodes, as JSON or as images.

    Args:
        client: The client of this attempt.
        request: The payload.
        files: Receives the exported files.
        batch: The maximum number of nodes per call.

    Attributes:
        failed: The reason for each node that could not be exported, by node id.
        retryable_failures: The retryable errors, by node id.
    """

    def __init__(self, client: FigmaClient, request: FigmaRequest, files: ExportedFiles, batch: int) -> None:
        self._client = client
        self._request = request
        self._files = files
        self._batch = batch
        self._halvings = 0
        self._single_failures: list[FigmaError] = []
        self._downloads = asyncio.Semaphore(MAX_CONCURRENT_DOWNLOADS)
        self._format = request.format if isinstance(request, ImagesRequest) else "json"
        self.failed: dict[str, str] = {}
        self.retryable_failures: dict[str, ExecutionFailed] = {}

    async def run(self) -> None:
        """Export every node.

        Raises:
            Snooze: The rate limit is exhausted.
            FigmaError: Figma rejects the file, or is down.
        """
        await self._files.load_cached({node: self._name(node) for node in self._request.node_ids})
        missing = [node for node in self._request.node_ids if node not in self._files.names]
        for nodes in _batches(missing, self._batch, MAX_IDS_CHARACTERS):
            await self._export(nodes)

    async def _export(self, nodes: Sequence[str]) -> None:
        if len(nodes) > self._batch:  # the batch size has been reduced since
            for part in _batches(nodes, self._batch):
                await self._export(part)
            return
        try:
            await (self._render(nodes) if isinstance(self._request, ImagesRequest) else self._read(nodes))
        except FigmaError as error:
            if not error.may_be_too_large:
                raise
            await self._split(nodes, error)

    async def _split(self, nodes: Sequence[str], error: FigmaError) -> None:
        if len(nodes) > 1 and self._halvings < MAX_HALVINGS:
            self._halvings += 1
            if error.is_too_large:  # the size is the cause, not a node: later batches start with the smaller size
                self._batch = (len(nodes) + 1) // 2
            for half in _batches(nodes, (len(nodes) + 1) // 2):
                await self._export(half)
            return
        self._single_failures.append(error)
        if error.status >= 500 and not self._files.names and len(self._single_failures) > 1:
            raise error  # calls for single nodes fail too, and no node has been exported: this is an outage
        for node in nodes:
            self.failed[node] = error.summary

    async def _read(self, nodes: Sequence[str]) -> None:
        response = await self._client.nodes(self._request.file_key, self._query(nodes))
        for node in nodes:
            if response.get(node) is None:
                self.failed[node] = "the node does not exist"
            else:
                await self._files.write_json(node, self._name(node), response[node])

    async def _render(self, nodes: Sequence[str]) -> None:
        expired = await self._fetch_all(await self._links(nodes))
        if expired:  # downloading the batch took too long; get new links, once
            again = await self._fetch_all(await self._links(expired))
            for node in again:
                message = f"The link to the rendered image of {node} has expired, and so has a new link."
                self._record_failure(node, ExecutionFailed(message, error_class="link_expired", retryable=True))

    async def _links(self, nodes: Sequence[str]) -> dict[str, str]:
        response = await self._client.images(self._request.file_key, self._query(nodes))
        links: dict[str, str] = {}
        for node in nodes:
            if isinstance(response.get(node), str):
                links[node] = response[node]
            else:
                self.failed[node] = "Figma cannot render the node: it does not exist, or it is invisible"
        return links

    async def _fetch_all(self, links: Mapping[str, str]) -> list[str]:
        """Download all links; return the nodes whose link has expired."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {node: group.create_task(self._fetch(node, link)) for node, link in links.items()}
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [node for node, task in tasks.items() if not task.result()]

    async def _fetch(self, node: str, link: str) -> bool:
        async with self._downloads:
            try:
                content = await self._client.download(link)
            except LinkExpired:
                return False
            except ExecutionFailed as error:
                self._record_failure(node, error)
                return True
        if _SIGNATURES[self._format] not in content[: 1_000 if self._format == "svg" else 4]:
            message = f"The file for {node} is not in the format {self._format}."
            self._record_failure(node, ExecutionFailed(message, error_class="figma_answer", retryable=True))
        else:
            await self._files.write(node, self._name(node), content)
        return True

    def _record_failure(self, node: str, error: ExecutionFailed) -> None:
        self.failed[node] = error.message.rstrip(".")
        if error.retryable:
            self.retryable_failures[node] = error

    def _query(self, nodes: Sequence[str]) -> dict[str, str]:
        return {"ids": ",".join(nodes), **self._request.parameters}

    def _name(self, node: str) -> str:
        return f"{file_stem(node)}.{self._format}"


async def export_file(client: FigmaClient, request: FigmaRequest, files: ExportedFiles) -> Mapping[str, Json]:
    """Export the whole document as file.json; return it, or nothing if the file came from the cache."""
    await files.load_cached({"": "file.json"})
    if files.names:
        return {}
    ids = {"ids": ",".join(request.node_ids)} if request.node_ids else {}
    document = await client.file(request.file_key, {**ids, **request.parameters})
    await files.write("", "file.json", document.content)
    return document.body


def check_complete(export: NodeExport, files: ExportedFiles, *, last_attempt: bool) -> None:
    """Check whether enough nodes were exported.

    Raises:
        ExecutionFailed: No node was exported, or a retry may export the missing nodes.
    """
    missing = len(export.failed)
    if export.retryable_failures and not (last_attempt and files.names):
        first = next(iter(export.retryable_failures.values()))
        message = f"{missing} of {missing + len(files.names)} nodes are missing. {first.message}"
        raise ExecutionFailed(message, error_class=first.error_class, retryable=True)
    if not files.names:
        node, reason = next(iter(export.failed.items()))
        message = f"None of the {missing} nodes could be exported; node {node}: {reason}."
        raise ExecutionFailed(message, error_class="figma_nothing", retryable=False)


def _batches(nodes: Sequence[str], size: int, max_characters: int = 1_000_000) -> Iterator[Sequence[str]]:
    """Yield the nodes in batches, limited by number and by the length of the encoded ids."""
    part: list[str] = []
    characters = 0
    for node in nodes:
        length = ids_characters([node])
        if part and (len(part) >= size or characters + length > max_characters):
            yield part
            part, characters = [], 0
        part.append(node)
        characters += length
    if part:
        yield part
