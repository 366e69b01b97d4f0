"""The Figma executor: what the worker sees of all this."""

import asyncio
import traceback

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.figma.attempt import Attempt
from cogo_dagster.executors.figma.client import FigmaClient
from cogo_dagster.executors.figma.errors import Refused
from cogo_dagster.executors.figma.options import FigmaOptions
from cogo_dagster.executors.figma.payload import FigmaRequest, parse_payload
from cogo_dagster.executors.figma.rate_gate import RateGate
from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import ForwardProxy
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, TransportError
from cogo_dagster.queue.executor import ExecutionFailed, ExecutorPorts, Snooze, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.redaction import redact

_DATABASE_SECONDS = 15.0


class FigmaExecutor:
    """Runs `figma`, `figma.nodes` and `figma.images` jobs.

    Args:
        options: What the settings say.
    """

    family = "figma"
    prefetch = 0

    def __init__(self, options: FigmaOptions) -> None:
        self._options = options
        self.slots: int | None = options.slots
        self.lacks: str | None = None if options.token else "FIGMA_API_TOKEN"
        self._proxy = ForwardProxy(Dialer(AllowList(frozenset(options.allowed_hosts))))
        self._ports: ExecutorPorts | None = None

    def use(self, ports: ExecutorPorts) -> None:
        """Take the database for rate limits, and the store for what was made before."""
        self._ports = ports

    def validate(self, type: str, payload: Json) -> dict[str, Json]:
        """Return the payload, checked, with file key and node ids as the API takes them."""
        return parse_payload(type, payload).model_dump(mode="json", exclude_unset=True)

    async def start(self) -> None:
        """Start the proxy.

        Raises:
            ExecutorUnavailable: The token is missing, or cannot be one.
        """
        token = self._options.token
        if not token:
            raise ExecutorUnavailable("FIGMA_API_TOKEN is not set: give it a personal access token of Figma's.")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ExecutorUnavailable("FIGMA_API_TOKEN holds spaces or characters that no token has: copy it again.")
        await self._proxy.start()

    async def stop(self) -> None:
        """Stop the proxy."""
        await self._proxy.stop()

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Run one attempt; what came before it ended is kept, so that the next one goes on from there.

        Raises:
            InvalidPayload: The payload was not checked at enqueue.
            Snooze: The rate limit is used up, or the database does not answer.
            ExecutionFailed: See `errors.py` and `export.verdict`.
        """
        request = parse_payload(job.type, job.payload)
        attempt = self._attempt(request, job, workspace)
        try:
            async with asyncio.timeout(job.timeout_seconds or self._options.attempt_seconds):
                result = await attempt.run()
        except Exception as error:  # noqa: BLE001 - whatever it says may hold the token
            ending = self._ending(error, request)
            ending.artifacts = attempt.artifacts
            raise ending from None
        return ExecutionResult(result, attempt.artifacts)

    def _attempt(self, request: FigmaRequest, job: Job, workspace: Workspace) -> Attempt:
        if self._ports is None:
            raise RuntimeError("The Figma executor was given no ports: call `use` first.")
        options = self._options
        gate = RateGate(
            RateLimits(self._ports.transport), options.token_hash, options.patience_seconds, request.file_key
        )
        client = FigmaClient(options, self._proxy, gate)
        return Attempt(client, request, job, workspace, ports=self._ports, batch=options.batch)

    def _ending(self, error: Exception, request: FigmaRequest) -> Snooze | ExecutionFailed:
        if isinstance(error, Snooze | ExecutionFailed):
            return error
        if isinstance(error, Refused):
            return error.failure(f"Export of Figma file {request.file_key}")
        if isinstance(error, TimeoutError):
            message = "The attempt was stopped, since it took too long; the next one goes on from there."
            return ExecutionFailed(message, error_class="timeout", retryable=True)
        if isinstance(error, AccessDenied | DatabaseUnavailable | TransportError):
            return Snooze("The database did not say whether Figma may be asked.", delay_seconds=_DATABASE_SECONDS)
        return self._unexpected(error)

    def _unexpected(self, error: Exception) -> ExecutionFailed:
        first_line = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
        secrets = [self._options.token or ""]
        detail = redact("".join(traceback.format_exception(error)), secrets)
        return ExecutionFailed(
            redact(first_line, secrets), error_class=type(error).__name__, retryable=True, detail=detail
        )
