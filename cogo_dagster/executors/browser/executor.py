"""The browser executor."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from cogo_dagster.executors.browser.advice import fonts_advice, sandbox_message
from cogo_dagster.executors.browser.artifacts import ArtifactCollector
from cogo_dagster.executors.browser.find import BrowserChoice, find_browser, install_fonts
from cogo_dagster.executors.browser.node import check_node
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.browser.payload import TYPES, BrowserPayload, parse_payload, stored_payload
from cogo_dagster.executors.browser.stored import PayloadChecker
from cogo_dagster.executors.browser.tasks import ends_within, retrieve_exception
from cogo_dagster.executors.browser.traces import clean_trace
from cogo_dagster.executors.errors import ExecutorUnavailable, SandboxUnavailable
from cogo_dagster.net.addresses import AllowList, InvalidAddress
from cogo_dagster.net.dial import Dialer, Resolver, system_resolver
from cogo_dagster.net.proxy import ForwardProxy, ProxySession
from cogo_dagster.queue.executor import ExecutionFailed, Executor, ExecutorContext, Interrupted, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings, is_root

if TYPE_CHECKING:
    from cogo_dagster.executors.browser.pool import BrowserPool
    from cogo_dagster.executors.browser.run import BrowserAttempt

logger = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
EVIDENCE_TIMEOUT_SECONDS = 4.5
"""How long to collect evidence after an attempt has reached its time limit.

With the time that closing the page may take, it is below the ten seconds after which the worker cancels the attempt.
"""
DEATH_CLASSES = frozenset({"driver_gone", "browser_gone", "page_crash"})
"""Error classes that a signal to the browser's processes causes."""
SIDE_EFFECT_CLASSES = frozenset({"network", "connection", "aborted", "timeout", "browser_error", "unsettled", "body"})
"""Error classes that an ending browser can cause while it still responds: its network process may end first."""


class BrowserExecutor(Executor, family="browser"):
    """Runs `browser` and `browser.pdf` jobs.

    Args:
        options: The browser's part of the settings.
        resolver: Resolves host names; tests pass their own.
    """

    types: ClassVar[tuple[str, ...]] = TYPES

    def __init__(self, options: BrowserOptions, resolver: Resolver = system_resolver) -> None:
        self._allowed = _allow_list(options.allowed_hosts)
        self.slots = options.concurrency
        self._options = options
        self._proxy = ForwardProxy(Dialer(self._allowed, resolver))
        self._pool: BrowserPool | None = None

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:
        """Build the executor from the settings.

        Raises:
            ExecutorUnavailable: BROWSER_ALLOWED_HOSTS contains an invalid host.
        """
        return cls(BrowserOptions.from_settings(context.settings))

    @classmethod
    def validate(cls, type: str, payload: Json, settings: Settings) -> dict[str, Json]:
        """Validate the payload and return it as it was given."""
        return stored_payload(type, payload, _allow_list(settings.browser_allowed_hosts))

    @classmethod
    def validator(cls, type: str, settings: Settings) -> Callable[[Json], dict[str, Json]]:
        """Return a function that validates what several payloads have in common once."""
        return partial(PayloadChecker(_allow_list(settings.browser_allowed_hosts)).stored, type)

    @classmethod
    def payload_model(cls, type: str) -> type[BrowserPayload]:  # noqa: ARG003 - the same for both types
        """Return the model of the payloads."""
        return BrowserPayload

    def parse(self, type: str, payload: Json) -> BrowserPayload:
        """Parse the payload, with this machine's allowed hosts."""
        return parse_payload(type, payload, self._allowed)

    async def start(self) -> None:
        """Start the proxy and, in real mode, find and start a browser.

        Raises:
            ExecutorUnavailable: No browser can be started; the message states what to do.
            Interrupted: The worker is being stopped.
        """
        await self.start_quietly()
        if self.scripts_without_glyphs:
            boxes = ", ".join(self.scripts_without_glyphs)
            logger.warning("%s text is rendered as boxes: no installed font has its glyphs. %s", boxes, fonts_advice())

    async def start_quietly(self) -> None:
        """Start as `start` does, without logging which scripts have no font: for a trial, whose caller reports them."""
        await self._proxy.start()
        if not self._options.real_mode:
            return
        if is_root() and not self._options.no_sandbox:
            raise SandboxUnavailable(sandbox_message(root=True))
        await asyncio.to_thread(check_node)
        choice = await asyncio.to_thread(find_browser, self._options, self._options.install)
        logger.info("Using %s at %s", choice.version, choice.executable_path)
        self._pool = await self._start_pool(choice)
        if choice.source == "installed" and self.scripts_without_glyphs:
            await asyncio.to_thread(install_fonts, self._options.home / "install")
            await self._pool.stop()
            self._pool = await self._start_pool(choice)

    @property
    def scripts_without_glyphs(self) -> tuple[str, ...]:
        """The scripts that no installed font has glyphs for; known once the executor is started."""
        return self._pool.scripts_without_glyphs if self._pool is not None else ()

    async def _start_pool(self, choice: BrowserChoice) -> "BrowserPool":
        # Importing Playwright takes 0.3 s, which commands that only enqueue do not need.
        from cogo_dagster.executors.browser.pool import BrowserPool  # noqa: PLC0415

        pool = BrowserPool(choice, self._options, self._proxy.url)
        try:
            await pool.start()
        except BaseException as error:
            await pool.stop()
            if isinstance(error, ExecutorUnavailable) and await STOP.explains(time.monotonic()):
                raise Interrupted("The worker was stopped while the browser was starting.") from error
            raise
        return pool

    async def stop(self) -> None:
        """Close the browsers and the proxy."""
        if self._pool is not None:
            await self._pool.stop()
        await self._proxy.stop()

    async def execute(self, job: Job[BrowserPayload], workspace: Workspace) -> ExecutionResult:
        """Execute one attempt.

        Raises:
            ExecutionFailed: As `errors.py` classifies it; never with `BROWSER_FORCE_SUCCESS`, which returns
                `{"forced": true, "error": …}` instead.
            Interrupted: The browser ended because the worker was being stopped.
        """
        collector = ArtifactCollector(lambda: workspace.folder)
        try:
            result = await self._attempt(job, collector, workspace.ends_soon)
            await self._clean(collector)
        except ExecutionFailed as error:
            if _may_be_interrupted(error) and await STOP.explains(time.monotonic()):
                raise Interrupted("The browser ended because the worker was being stopped.") from error
            await self._clean(collector)
            error.artifacts = collector.finish()
            if not self._options.force_success:
                raise
            result = forced(error, self._options.secrets)
        return ExecutionResult(result, collector.finish())

    async def _clean(self, collector: ArtifactCollector) -> None:
        """Remove credentials from the trace; a trace that cannot be read is not kept."""
        for file in [file for file in collector.files if file.name == "trace.zip"]:
            try:
                await asyncio.to_thread(clean_trace, file.path, self._options.secrets)
            except ValueError:
                collector.files.remove(file)

    async def _attempt(
        self, job: Job[BrowserPayload], collector: ArtifactCollector, ends_soon: Callable[[], None]
    ) -> Json:
        request, limit_seconds = job.payload, job.timeout_seconds or self._options.attempt_seconds
        traced = self._options.traces(job.attempts, job.max_attempts) if request.trace is None else request.trace
        with self._proxy.session() as session:
            if self._pool is not None:
                return await self._in_browser(
                    self._pool, request, collector, session, limit_seconds, ends_soon=ends_soon, traced=traced
                )
            # Importing httpx is slow too.
            from cogo_dagster.executors.browser.fetch import fetch_page  # noqa: PLC0415

            page = fetch_page(
                request, collector, proxy=self._proxy, session=session, nav_timeout_ms=self._options.nav_timeout_ms
            )
            try:
                async with asyncio.timeout(limit_seconds):
                    return await page
            except TimeoutError:
                raise _timed_out(limit_seconds) from None

    async def _in_browser(
        self,
        pool: "BrowserPool",
        request: BrowserPayload,
        collector: ArtifactCollector,
        session: ProxySession,
        limit_seconds: float,
        *,
        ends_soon: Callable[[], None],
        traced: bool,
    ) -> Json:
        from cogo_dagster.executors.browser.run import BrowserAttempt  # noqa: PLC0415

        started_at = time.monotonic()  # the limit includes the launch of a browser, as it does for the worker
        try:
            async with pool.browser() as running:
                attempt = BrowserAttempt(
                    running,
                    request,
                    collector,
                    proxy=self._proxy,
                    session=session,
                    nav_timeout_ms=self._options.nav_timeout_ms,
                    without_glyphs=pool.scripts_without_glyphs,
                    traced=traced,
                    ends_soon=ends_soon,
                )
                return await _run_watched(attempt, limit_seconds, time.monotonic() - started_at)
        except ExecutorUnavailable as error:
            raise ExecutionFailed(str(error), error_class="browser_gone", retryable=True) from error


async def _run_watched(attempt: "BrowserAttempt", limit_seconds: float, spent_seconds: float = 0) -> Json:
    """Run an attempt in its own task, since a Playwright call must not be cancelled: only its context can be closed.

    The browser's processes are also watched: a call that is waiting when the browser is killed sometimes never returns.
    """
    work = asyncio.create_task(attempt.run())
    work.add_done_callback(retrieve_exception)  # it may fail while the evidence of the time limit is collected
    deadline = asyncio.get_running_loop().time() + limit_seconds - spent_seconds
    try:
        while not work.done():
            left_seconds = deadline - asyncio.get_running_loop().time()
            if left_seconds <= 0:
                late = _timed_out(limit_seconds)
                await ends_within(attempt.collect_evidence(late), EVIDENCE_TIMEOUT_SECONDS)
                raise late
            dead = attempt.ended()
            await asyncio.wait({work}, timeout=min(left_seconds, WATCH_SECONDS))
            if dead is not None and not work.done():
                raise dead
        return _result(work, attempt)
    finally:
        if not work.done():
            await asyncio.shield(attempt.abandon(work))


def _allow_list(hosts: Collection[str]) -> AllowList:
    """Parse BROWSER_ALLOWED_HOSTS.

    Raises:
        ExecutorUnavailable: It contains an invalid host.
    """
    try:
        return AllowList.of(hosts)
    except InvalidAddress as error:
        raise ExecutorUnavailable(f"BROWSER_ALLOWED_HOSTS: {error}") from None


def _may_be_interrupted(error: ExecutionFailed) -> bool:
    """Return whether stopping the worker may have caused this failure."""
    if error.error_class in SIDE_EFFECT_CLASSES:
        return error.retryable and STOP.stopped_at() is not None
    return error.error_class in DEATH_CLASSES


def _result(work: "asyncio.Task[Json]", attempt: "BrowserAttempt") -> Json:
    """Return the attempt's result. Playwright raises a plain Exception if its driver ends during a call."""
    try:
        return work.result()
    except Exception as error:
        known = isinstance(error, ExecutionFailed) and error.error_class not in SIDE_EFFECT_CLASSES
        if not known and (dead := attempt.ended()) is not None:
            raise dead from error
        raise


def _timed_out(limit_seconds: float) -> ExecutionFailed:
    return ExecutionFailed(
        f"The attempt exceeded its time limit of {limit_seconds:g} seconds.", error_class="timeout", retryable=True
    )


def forced(error: ExecutionFailed, secrets: Collection[str] = ()) -> Json:
    """Return the result of a failure that `BROWSER_FORCE_SUCCESS` turns into a success."""
    return {"forced": True, "error": {"class": error.error_class, "message": redact(error.message, secrets)}}
