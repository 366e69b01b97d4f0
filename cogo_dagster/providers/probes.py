"""Asks providers whether they are there: one GET each, with time limits, under the address rules."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.guarded import GuardedClient, NoAnswer, ask, guarded
from cogo_dagster.queue.rows.providers import ProbedProvider
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

_AT_ONCE: Final = 16
_TOO_MANY_REQUESTS: Final = 429
_AGENT: Final = {"user-agent": "cogo-dagster health probe", "accept": "*/*"}


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What to ask, and for whom."""

    provider: str
    capability: str
    url: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        latency_ms: From the first byte sent to the last received; None where nothing came.
        error: One sentence, without secrets; None for a healthy one.
    """

    provider: str
    capability: str
    healthy: bool
    latency_ms: float | None = None
    error: str | None = None

    def to_json(self) -> dict[str, str | float | None]:
        """Return it as SQL's `record_provider_health` takes it."""
        return asdict(self)


def targets_of(providers: Iterable[ProbedProvider]) -> list[ProbeTarget]:
    """Return what to ask of registered providers; those without an address, or switched off, are left out."""
    return [
        ProbeTarget(row.provider, row.capability, row.probe_url) for row in providers if row.enabled and row.probe_url
    ]


def service_targets(settings: Settings) -> list[ProbeTarget]:
    """Return what to probe of the outside services that these settings use."""
    figma = [ProbeTarget("figma", "export", "https://api.figma.com/v1/me")] if settings.figma_api_token else []
    github = [ProbeTarget("github", "alerts", "https://api.github.com/")] if settings.github_token else []
    return [*figma, *github]


def probe_providers(
    targets: Sequence[ProbeTarget], allowed_hosts: Iterable[str] = (), *, timeout_seconds: float = 10
) -> list[ProbeResult]:
    """Ask each address once and return a result for each target.

    Healthy is who answers with a status below 500, but for 429: an answer that wants a login shows that the service
    is there.

    Args:
        allowed_hosts: Hosts, or host:port, that may be private (PROVIDER_ALLOWED_HOSTS).
        timeout_seconds: Longest time for one address, redirects included.
    """
    allowed = AllowList.of(allowed_hosts, "PROVIDER_ALLOWED_HOSTS")
    found = asyncio.run(_ask_all(sorted({target.url for target in targets}), allowed, timeout_seconds))
    return [ProbeResult(target.provider, target.capability, *found[target.url]) for target in targets]


_Found = tuple[bool, float | None, str | None]


async def _ask_all(urls: Sequence[str], allowed: AllowList, timeout_seconds: float) -> dict[str, _Found]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(client: GuardedClient, url: str) -> _Found:
        async with turns:
            return await _ask(client, url, timeout_seconds)

    async with guarded(allowed, timeout_seconds) as client:
        return dict(zip(urls, await asyncio.gather(*(in_turn(client, url) for url in urls)), strict=True))


async def _ask(client: GuardedClient, url: str, timeout_seconds: float) -> _Found:
    started = time.monotonic()
    try:
        answer = await ask(client, url, _AGENT, timeout_seconds)
    except NoAnswer as error:
        return False, None, redact(str(error))
    latency_ms = round((time.monotonic() - started) * 1000, 1)
    if answer.status >= 500 or answer.status == _TOO_MANY_REQUESTS:
        return False, latency_ms, f"It answers {answer.status}."
    return True, latency_ms, None
