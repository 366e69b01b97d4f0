"""Figma's rate limits: one bucket and one circuit per token and tier, shared by all workers through the database.

Limits of a month are those of a file's plan, and another file may be in another plan: a circuit of days, or of a low
limit, is of one file. Limits of a minute are the token's.

What a token may do depends on its user's seat and on the plan of each file, which only a refusal tells. So the buckets
hold what a Dev or Full seat has on the smallest paid plan, and who has less (6 calls of tier 1 a month on a View
seat) learns it from Figma: the circuit then stays open for as long as Figma says, which can be days.
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

_MINUTES_SECONDS: Final = 600.0
_UNSAID_SECONDS: Final = 60.0
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


class Tier(StrEnum):
    """Figma's kinds of calls: 1 reads content and renders, 2 reads what is cheap."""

    EXPENSIVE = "tier1"
    CHEAP = "tier2"


CALLS_PER_MINUTE: Final[Mapping[Tier, int]] = {Tier.EXPENSIVE: 10, Tier.CHEAP: 25}


class RateGate:
    """Lets calls pass one by one.

    Args:
        rates: The shared limits.
        token_hash: Which token they are of.
        file_key: The file that is asked for.
        patience_seconds: A longer wait is not waited here but put off.
    """

    def __init__(self, rates: RateLimits, token_hash: str, patience_seconds: float, file_key: str = "") -> None:
        self._rates = rates
        self._token_hash = token_hash
        self._patience_seconds = patience_seconds
        self._file_key = file_key

    async def enter(self, tier: Tier) -> None:
        """Return when a call may be made.

        Raises:
            Snooze: Not soon.
        """
        minute = CALLS_PER_MINUTE[tier]
        rate = Rate(self._name(tier), minute, minute / 60)
        await self._check_file(tier)
        deadline = asyncio.get_running_loop().time() + self._patience_seconds
        while not (grant := await asyncio.to_thread(self._rates.acquire, rate)).granted:
            if grant.open_until is not None:
                raise Snooze(grant.reason or "Figma's rate limit is used up.", delay_seconds=_spread(grant))
            if asyncio.get_running_loop().time() + grant.wait_seconds > deadline:
                raise Snooze("Other jobs use up what Figma allows in a minute.", delay_seconds=_spread(grant))
            await asyncio.sleep(jittered(grant.wait_seconds, 1, 1.25))

    async def refused(self, tier: Tier, headers: Mapping[str, str]) -> Snooze:
        """Open the circuit for as long as an answer 429 says, and return what ends the attempt."""
        said = retry_after_seconds(headers, max_seconds=WEEK_SECONDS)
        seconds = max(said, 1.0) if said is not None else _UNSAID_SECONDS
        reason = refusal(tier, seconds, headers)
        of_file = seconds > _MINUTES_SECONDS or headers.get("x-figma-rate-limit-type") == "low"
        name = self._file_name(tier) if of_file and self._file_key else self._name(tier)
        with contextlib.suppress(QueueError):  # the next who asks hears it from Figma
            await asyncio.to_thread(self._rates.open_circuit, name, seconds, reason)
        return Snooze(reason, delay_seconds=_spread(Grant(False, seconds)))

    async def _check_file(self, tier: Tier) -> None:
        """Raise where the file's own circuit is open. A row is there only for a file that was refused."""
        name = self._file_name(tier)
        if not any(row.name == name for row in await asyncio.to_thread(self._rates.open_circuits)):
            return
        grant = await asyncio.to_thread(self._rates.acquire, Rate(name, 1, 1), 0)
        if grant.open_until is not None:
            raise Snooze(grant.reason or "Figma's rate limit is used up.", delay_seconds=_spread(grant))

    def _name(self, tier: Tier) -> str:
        return f"figma:{self._token_hash}:{tier}"

    def _file_name(self, tier: Tier) -> str:
        return f"{self._name(tier)}:{self._file_key}"


def refusal(tier: Tier, seconds: float, headers: Mapping[str, str]) -> str:
    """Say what Figma said, with its own headers, as one sentence."""
    facts = {
        "plan": headers.get("x-figma-plan-tier"),
        "seat": {"low": "View or Collab", "high": "Dev or Full"}.get(headers.get("x-figma-rate-limit-type", "")),
        "limit type": headers.get("x-figma-rate-limit-type"),
        "upgrade": headers.get("x-figma-upgrade-link", "").partition("?")[0],
    }
    known = ", ".join(f"{name} {redact(value[:200])}" for name, value in facts.items() if value)
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"Figma allows no more calls of {tier} for {seconds / size:.3g} {unit}" + (f" ({known})." if known else ".")


def _spread(grant: Grant) -> float:
    """Return the wait, and up to a tenth more (at most a minute), so that not all come back at one moment."""
    return grant.wait_seconds + jittered(min(max(grant.wait_seconds / 10, 1), 60), 0, 1)
