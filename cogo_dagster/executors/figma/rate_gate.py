"""Figma's rate limits: a token bucket and a circuit breaker per API token and tier, shared through the database.

Limits per minute belong to the API token. Limits per month depend on the plan of the file, and another file may have
another plan. Therefore a circuit that is open for days, or because of a low limit, applies to one file only.

The limits depend on the user's seat and on the file's plan, which only a response 429 reveals. The buckets are sized
for a Dev or Full seat on the smallest paid plan. With a smaller limit (6 calls of tier 1 a month with a View seat)
Figma responds with 429, and the circuit stays open for the time that Figma gives, which can be days.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from cogo_dagster.queue.backoff import jittered
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.executor import Snooze
from cogo_dagster.queue.rates import Grant, Rate, RateLimits
from cogo_dagster.queue.retry_after import WEEK_SECONDS, retry_after_seconds
from cogo_dagster.redaction import redact

_MAX_TOKEN_CIRCUIT_SECONDS: Final = 600.0
_DEFAULT_CIRCUIT_SECONDS: Final = 60.0
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


class Tier(StrEnum):
    """Figma's tiers of API calls: tier 1 reads content and renders, tier 2 reads metadata."""

    EXPENSIVE = "tier1"
    CHEAP = "tier2"


CALLS_PER_MINUTE: Final[Mapping[Tier, int]] = {Tier.EXPENSIVE: 10, Tier.CHEAP: 25}


class RateGate:
    """Delays API calls until the rate limit allows them.

    Args:
        rates: The shared rate limits.
        token_hash: Identifies the API token.
        file_key: The file that is requested.
        max_wait_seconds: The maximum time to wait; a longer wait snoozes the job.
    """

    def __init__(self, rates: RateLimits, token_hash: str, max_wait_seconds: float, file_key: str = "") -> None:
        self._rates = rates
        self._token_hash = token_hash
        self._max_wait_seconds = max_wait_seconds
        self._file_key = file_key

    async def acquire(self, tier: Tier) -> None:
        """Wait until a call is allowed.

        Raises:
            Snooze: The wait would be too long.
        """
        minute = CALLS_PER_MINUTE[tier]
        rate = Rate(self._name(tier), minute, minute / 60)
        await self._check_file(tier)
        deadline = asyncio.get_running_loop().time() + self._max_wait_seconds
        while not (grant := await asyncio.to_thread(self._rates.acquire, rate)).granted:
            if grant.open_until is not None:
                raise Snooze(grant.reason or "Figma's rate limit is exhausted.", delay_seconds=_with_jitter(grant))
            if asyncio.get_running_loop().time() + grant.wait_seconds > deadline:
                raise Snooze(
                    "Other jobs have exhausted Figma's rate limit per minute.", delay_seconds=_with_jitter(grant)
                )
            await asyncio.sleep(jittered(grant.wait_seconds, 1, 1.25))

    async def rate_limited(self, tier: Tier, headers: Mapping[str, str]) -> Snooze:
        """Open the circuit for the time that a response 429 gives, and return the snooze that ends the attempt."""
        retry_after = retry_after_seconds(headers, max_seconds=WEEK_SECONDS)
        seconds = max(retry_after, 1.0) if retry_after is not None else _DEFAULT_CIRCUIT_SECONDS
        reason = rate_limit_message(tier, seconds, headers)
        of_file = seconds > _MAX_TOKEN_CIRCUIT_SECONDS or headers.get("x-figma-rate-limit-type") == "low"
        name = self._file_name(tier) if of_file and self._file_key else self._name(tier)
        with contextlib.suppress(QueueError):  # the next call then gets the 429 from Figma
            await asyncio.to_thread(self._rates.open_circuit, name, seconds, reason)
        return Snooze(reason, delay_seconds=_with_jitter(Grant(False, seconds)))

    async def _check_file(self, tier: Tier) -> None:
        """Raise Snooze if the file's circuit is open. Only a file that got a 429 has a row."""
        name = self._file_name(tier)
        if not any(row.name == name for row in await asyncio.to_thread(self._rates.open_circuits)):
            return
        grant = await asyncio.to_thread(self._rates.acquire, Rate(name, 1, 1), 0)
        if grant.open_until is not None:
            raise Snooze(grant.reason or "Figma's rate limit is exhausted.", delay_seconds=_with_jitter(grant))

    def _name(self, tier: Tier) -> str:
        return f"figma:{self._token_hash}:{tier}"

    def _file_name(self, tier: Tier) -> str:
        return f"{self._name(tier)}:{self._file_key}"


def rate_limit_message(tier: Tier, seconds: float, headers: Mapping[str, str]) -> str:
    """Return the message for a response 429, with the details in its headers."""
    facts = {
        "plan": headers.get("x-figma-plan-tier"),
        "seat": {"low": "View or Collab", "high": "Dev or Full"}.get(headers.get("x-figma-rate-limit-type", "")),
        "limit type": headers.get("x-figma-rate-limit-type"),
        "upgrade": headers.get("x-figma-upgrade-link", "").partition("?")[0],
    }
    known = ", ".join(f"{name} {redact(value[:200])}" for name, value in facts.items() if value)
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"Figma allows no calls of {tier} for {seconds / size:.3g} {unit}" + (f" ({known})." if known else ".")


def _with_jitter(grant: Grant) -> float:
    """Return the wait with up to 10 % jitter (at most a minute), so that jobs do not resume at the same time."""
    return grant.wait_seconds + jittered(min(max(grant.wait_seconds / 10, 1), 60), 0, 1)
