"""Health probes of providers: one GET each, with timeouts and address rules."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.guarded import GuardedClient, RequestFailed, guarded, request
from cogo_dagster.queue.rows.providers import ProbedProvider
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

_MAX_CONCURRENT: Final = 16
_TOO_MANY_REQUESTS: Final = 429
_AGENT: Final = {"user-agent": "cogo-dagster health probe", "accept": "*/*"}


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A URL to probe for a provider and capability."""

    provider: str
    capability: str
    url: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Result of a probe.

    Attributes:
        latency_ms: Time from the first byte sent to the last byte received; None without a response.
        error: Message without secrets; None if healthy.
    """

    provider: str
    capability: str
    healthy: bool
    latency_ms: float | None = None
    error: str | None = None

    def to_json(self) -> dict[str, str | float | None]:
        """Return the argument for the SQL function `record_provider_health`."""
        return asdict(self)


def targets_of(providers: Iterable[ProbedProvider]) -> list[ProbeTarget]:
    """Return the targets of enabled providers with a probe URL."""
    return [
        ProbeTarget(row.provider, row.capability, row.probe_url) for row in providers if row.enabled and row.probe_url
    ]


def service_targets(settings: Settings) -> list[ProbeTarget]:
    """Return the targets of the external services that the settings use."""
    figma = [ProbeTarget("figma", "export", "https://api.figma.com/v1/me")] if settings.figma_api_token else []
    github = [ProbeTarget("github", "alerts", "https://api.github.com/")] if settings.github_token else []
    return [*figma, *github]


def probe_providers(
    targets: Sequence[ProbeTarget], allowed_hosts: Iterable[str] = (), *, timeout_seconds: float = 10
) -> list[ProbeResult]:
    """Request each URL once and return a result for each target.

    A provider is healthy if the status is below 500 and not 429: a response that requires a login shows that the
    service is available.

    Args:
        targets: What to probe.
        allowed_hosts: Hosts, or host:port, that may have private addresses (PROVIDER_ALLOWED_HOSTS).
        timeout_seconds: Timeout per URL, including redirects.
    """
    allowed = AllowList.of(allowed_hosts, "PROVIDER_ALLOWED_HOSTS")
    found = asyncio.run(_probe_all(sorted({target.url for target in targets}), allowed, timeout_seconds))
    return [ProbeResult(target.provider, target.capability, *found[target.url]) for target in targets]


_Found = tuple[bool, float | None, str | None]


async def _probe_all(urls: Sequence[str], allowed: AllowList, timeout_seconds: float) -> dict[str, _Found]:
    slots = asyncio.Semaphore(_MAX_CONCURRENT)

    async def limited(client: GuardedClient, url: str) -> _Found:
        async with slots:
            return await _probe(client, url, timeout_seconds)

    async with guarded(allowed, timeout_seconds) as client:
        return dict(zip(urls, await asyncio.gather(*(limited(client, url) for url in urls)), strict=True))


async def _probe(client: GuardedClient, url: str, timeout_seconds: float) -> _Found:
    started = time.monotonic()
    try:
        response = await request(client, url, _AGENT, timeout_seconds)
    except RequestFailed as error:
        return False, None, redact(str(error))
    latency_ms = round((time.monotonic() - started) * 1000, 1)
    if response.status >= 500 or response.status == _TOO_MANY_REQUESTS:
        return False, latency_ms, f"Response status {response.status}."
    return True, latency_ms, None
