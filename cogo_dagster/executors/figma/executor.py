"""The Figma executor."""

import asyncio
import traceback
from typing import ClassVar, Self

from pydantic import BaseModel

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.figma.attempt import FigmaAttempt
from cogo_dagster.executors.figma.client import FigmaClient
from cogo_dagster.executors.figma.errors import FigmaError
from cogo_dagster.executors.figma.options import FigmaOptions
from cogo_dagster.executors.figma.payload import REQUESTS, FigmaRequest, parse_payload
from cogo_dagster.executors.figma.rate_gate import RateGate
from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import ForwardProxy
from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, TransportError
from cogo_dagster.queue.executor import ExecutionFailed, Executor, ExecutorContext, Snooze, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

_DATABASE_SECONDS = 15.0


class FigmaExecutor(Executor, family="figma"):
    """Runs `figma`, `figma.nodes` and `figma.images` jobs.

    Args:
        options: The Figma part of the settings.
        transport: The database, for rate limits and cached artifacts.
        store: The store of the cached artifacts.
    """

    types: ClassVar[tuple[str, ...]] = tuple(REQUESTS)

    def __init__(self, options: FigmaOptions, transport: Transport, store: ArtifactStore) -> None:
        self._options = options
        self._transport = transport
        self._store = store
        self.slots = options.slots
        self._proxy = ForwardProxy(Dialer(AllowList(frozenset(options.allowed_hosts))))

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:
        """Build the executor from the settings."""
        return cls(FigmaOptions.from_settings(context.settings), context.queue.transport, context.store)

    @classmethod
    def validate(cls, type: str, payload: Json, settings: Settings) -> dict[str, Json]:  # noqa: ARG003 - not needed
        """Validate the payload and return it with file key and node ids in the API's form."""
        return parse_payload(type, payload).model_dump(mode="json", exclude_unset=True)

    @classmethod
    def payload_model(cls, type: str) -> type[BaseModel] | None:
        """Return the model of the payloads of a type."""
        return REQUESTS.get(type)

    @property
    def lacks(self) -> str | None:
        """FIGMA_API_TOKEN, if it is not set."""
        return None if self._options.token else "FIGMA_API_TOKEN"

    def parse(self, type: str, payload: Json) -> FigmaRequest:
        """Parse the payload."""
        return parse_payload(type, payload)

    async def start(self) -> None:
        """Start the proxy.

        Raises:
            ExecutorUnavailable: The token is missing or malformed.
        """
        token = self._options.token
        if not token:
            raise ExecutorUnavailable("FIGMA_API_TOKEN is not set: set it to a personal access token of Figma.")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ExecutorUnavailable("FIGMA_API_TOKEN contains spaces or invalid characters: copy the token again.")
        await self._proxy.start()

    async def stop(self) -> None:
        """Stop the proxy."""
        await self._proxy.stop()

    async def execute(self, job: Job[FigmaRequest], workspace: Workspace) -> ExecutionResult:
        """Execute one attempt. Files exported before a failure are kept, and the next attempt continues from there.

        Raises:
            Snooze: The rate limit is exhausted, or the database is unreachable.
            ExecutionFailed: See `errors.py` and `export.check_complete`.
        """
        attempt = self._attempt(job, workspace)
        try:
            async with asyncio.timeout(job.timeout_seconds or self._options.attempt_seconds):
                result = await attempt.run()
        except Exception as error:  # noqa: BLE001 - any message may contain the token
            outcome = self._to_outcome(error, job.payload)
            outcome.artifacts = attempt.artifacts
            raise outcome from None
        return ExecutionResult(result, attempt.artifacts)

    def _attempt(self, job: Job[FigmaRequest], workspace: Workspace) -> FigmaAttempt:
        options, limits = self._options, RateLimits(self._transport)
        gate = RateGate(limits, options.token_hash, options.max_wait_seconds, job.payload.file_key)
        client = FigmaClient(options, self._proxy, gate)
        return FigmaAttempt(client, job, workspace, self._transport, self._store, batch=options.batch)

    def _to_outcome(self, error: Exception, request: FigmaRequest) -> Snooze | ExecutionFailed:
        if isinstance(error, Snooze | ExecutionFailed):
            return error
        if isinstance(error, FigmaError):
            return error.failure(f"Export of Figma file {request.file_key}")
        if isinstance(error, TimeoutError):
            message = "The attempt exceeded its time limit; the next attempt continues from there."
            return ExecutionFailed(message, error_class="timeout", retryable=True)
        if isinstance(error, AccessDenied | DatabaseUnavailable | TransportError):
            return Snooze("The rate limit could not be read from the database.", delay_seconds=_DATABASE_SECONDS)
        return self._unexpected(error)

    def _unexpected(self, error: Exception) -> ExecutionFailed:
        first_line = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
        secrets = [self._options.token or ""]
        detail = redact("".join(traceback.format_exception(error)), secrets)
        return ExecutionFailed(
            redact(first_line, secrets), error_class=type(error).__name__, retryable=True, detail=detail
        )
