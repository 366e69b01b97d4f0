"""Figma's rate limits: jobs are snoozed, the limit is shared by all workers, and exported files are kept."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from cogo_dagster.executors.figma.rate_gate import RateGate, Tier, rate_limit_message
from cogo_dagster.queue.errors import TransportError
from cogo_dagster.queue.executor import Snooze
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.executors.figma_bench import FigmaBench
from cogo_dagster_tests.executors.figma_server import Response

DAYS: Response = (
    429,
    {"status": 429, "err": "Rate limit exceeded"},
    {
        "Retry-After": "231890",
        "X-Figma-Plan-Tier": "starter",
        "X-Figma-Rate-Limit-Type": "low",
        "X-Figma-Upgrade-Link": "https://www.figma.com/files?api_paywall=true",
    },
)
TIER_1 = "figma:{}:tier1"


def test_a_429_snoozes_the_job_without_an_attempt(figma: FigmaBench) -> None:
    """The job is snoozed for Retry-After and keeps its attempts; the message has plan, seat and upgrade link."""
    figma.figma.next = [None, DAYS]
    row = figma.run(node_ids=["1:1"])
    assert (row["status"], row["attempts"], row["snoozes"]) == ("queued", 0, 1)
    assert _seconds(row) >= 231_890
    assert row["error"]["message"] == (
        "Figma allows no calls of tier1 for 2.68 d "
        "(plan starter, seat View or Collab, limit type low, upgrade https://www.figma.com/files)."
    )


def test_the_circuit_stops_every_worker_with_that_token(figma: FigmaBench) -> None:
    """The open circuit snoozes a job of a second worker without an expensive call."""
    figma.figma.next = [None, DAYS]
    first = figma.run(node_ids=["1:1"])
    second = figma.enqueue(node_ids=["1:2"])
    figma.work(figma.executor())
    row = figma.look(second)
    assert (row["status"], row["attempts"]) == ("queued", 0)
    assert row["error"]["message"] == first["error"]["message"]
    assert _seconds(row) > 231_000
    assert figma.figma.paths() == ["/v1/files/KEY/meta", "/v1/images/KEY", "/v1/files/KEY/meta"]


def test_another_token_is_not_affected_by_a_circuit(figma: FigmaBench) -> None:
    """A circuit affects only one token and one tier."""
    figma.figma.next = [None, DAYS]
    figma.run(node_ids=["1:1"])
    job = figma.enqueue(node_ids=["1:2"])
    figma.work(figma.executor(token="figd_another-0123456789"))
    assert figma.look(job)["status"] == "succeeded"


def test_the_limit_of_one_file_does_not_stop_another_file(figma: FigmaBench) -> None:
    """A low limit belongs to one file; a limit per minute belongs to the token."""
    rates = RateLimits(figma.transport)
    token = figma.executor()._options.token_hash
    first, second = (RateGate(rates, token, 0.0, key) for key in ("KEY", "OTHER"))
    asyncio.run(first.rate_limited(Tier.EXPENSIVE, {k.lower(): v for k, v in DAYS[2].items()}))
    with pytest.raises(Snooze, match="plan starter"):
        asyncio.run(first.acquire(Tier.EXPENSIVE))
    asyncio.run(second.acquire(Tier.EXPENSIVE))
    asyncio.run(first.acquire(Tier.CHEAP))
    asyncio.run(second.rate_limited(Tier.EXPENSIVE, {"retry-after": "30", "x-figma-rate-limit-type": "high"}))
    for gate in (second, RateGate(rates, token, 0.0, "THIRD")):
        with pytest.raises(Snooze, match="for 30 s"):
            asyncio.run(gate.acquire(Tier.EXPENSIVE))


def test_a_file_with_another_plan_is_exported_while_one_is_limited(figma: FigmaBench) -> None:
    """While jobs of one file are snoozed for days, a job of another file with the same token succeeds."""
    figma.figma.keys = ("KEY", "OTHER")
    figma.figma.next = [None, DAYS]
    first = figma.run(node_ids=["1:1"])
    second = figma.run(file_key="OTHER", node_ids=["1:1"])
    assert (first["status"], first["attempts"]) == ("queued", 0)
    assert (second["status"], second["attempts"], len(second["result"]["files"])) == ("succeeded", 1, 1)


def test_files_exported_before_a_429_are_kept(figma: FigmaBench) -> None:
    """If the second of three batches gets a 429, only the last two are requested after the wait."""
    figma.figma.next = [None, None, DAYS]
    nodes = [f"1:{n}" for n in range(1, 8)]
    job = figma.enqueue(node_ids=nodes)
    figma.work(figma.executor(batch=3))
    assert len(figma.look(job)["artifacts"]) == 3
    _resume(figma)
    figma.work(figma.executor(batch=3))
    row = figma.look(job)
    assert (row["status"], row["attempts"], len(row["artifacts"])) == ("succeeded", 1, 7)
    assert (len(row["result"]["files"]), row["result"]["cached"]) == (7, 3)
    assert figma.figma.batches() == [nodes[:3], nodes[3:6], nodes[3:6], nodes[6:]]


def test_a_429_to_the_metadata_request_snoozes_the_job(figma: FigmaBench) -> None:
    """A 429 to the metadata request snoozes the job too."""
    figma.figma.next = [(429, {"status": 429, "err": "Rate limit exceeded"}, {"Retry-After": "30"})]
    row = figma.run(node_ids=["1:1"])
    assert (row["status"], row["attempts"]) == ("queued", 0)
    assert row["error"]["message"] == "Figma allows no calls of tier2 for 30 s."
    assert 30 <= _seconds(row) < 60


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, 60),
        ("0", 1),
        ("soon", 60),
        ("99999999999", 604_800),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 604_800),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),
    ],
)
def test_an_invalid_retry_after_has_a_bounded_snooze(
    figma: FigmaBench, retry_after: str | None, seconds: float
) -> None:
    """The snooze is a minute without a valid Retry-After, at most a week and at least a second."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    figma.figma.next = [None, (429, {"status": 429, "err": "Rate limit exceeded"}, headers)]
    row = figma.run(node_ids=["1:1"])
    assert row["status"] == "queued"
    assert seconds - 5 <= _seconds(row) <= seconds * 1.1 + 2


def test_calls_above_the_limit_per_minute_wait_or_snooze(figma: FigmaBench, owner: Any) -> None:
    """If the bucket is empty, a call waits, or the job is snoozed if the wait exceeds the maximum."""
    rates = RateLimits(figma.transport)
    gate = RateGate(rates, "0123456789ab", max_wait_seconds=0.0)
    for _ in range(10):
        asyncio.run(gate.acquire(Tier.EXPENSIVE))
    with pytest.raises(Snooze, match="Other jobs have exhausted") as snoozed:
        asyncio.run(gate.acquire(Tier.EXPENSIVE))
    assert 0 < snoozed.value.delay_seconds < 10
    owner.execute("update public.rate_limits set refilled_at = refilled_at - interval '5.9 seconds'")
    asyncio.run(RateGate(rates, "0123456789ab", max_wait_seconds=30).acquire(Tier.EXPENSIVE))


def test_an_unreachable_database_snoozes_the_job(figma: FigmaBench) -> None:
    """If the rate limit cannot be read, the job is snoozed and Figma is not called."""
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(FailingTransport(figma.transport, "acquire_rate")))
    row = figma.look(job)
    assert (row["status"], row["attempts"], figma.figma.requests) == ("queued", 0, [])
    assert 10 < _seconds(row) < 20


def test_the_job_is_snoozed_even_if_the_circuit_cannot_be_opened(figma: FigmaBench) -> None:
    """If the circuit cannot be opened, the job is snoozed all the same."""
    figma.figma.next = [None, DAYS]
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(FailingTransport(figma.transport, "open_circuit")))
    assert (figma.look(job)["status"], figma.look(job)["attempts"]) == ("queued", 0)
    assert RateLimits(figma.transport).open_circuits() == []


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Figma allows no calls of tier1 for 1.5 h."),
        (
            {"x-figma-rate-limit-type": "high", "x-figma-plan-tier": "org"},
            "Figma allows no calls of tier1 for 1.5 h (plan org, seat Dev or Full, limit type high).",
        ),
        (
            {"x-figma-plan-tier": "figd_0123456789abcdef"},
            "Figma allows no calls of tier1 for 1.5 h (plan [hidden]).",
        ),
    ],
)
def test_the_message_of_a_429(headers: dict[str, str], message: str) -> None:
    """The message has the details of the headers and no secret."""
    assert rate_limit_message(Tier.EXPENSIVE, 5_400, headers) == message


class FailingTransport:
    """A connection that fails for one function."""

    def __init__(self, transport: Transport, function: str) -> None:
        self._transport = transport
        self._function = function

    def call(self, function: str, arguments: Any) -> Json:
        """Raise for the chosen function; pass on other calls."""
        if function == self._function:
            raise TransportError("The connection to the database broke.")
        return self._transport.call(function, arguments)

    def close(self) -> None:
        """Leave it open."""


def _seconds(row: Json) -> float:
    return (datetime.fromisoformat(row["next_run_at"]) - datetime.fromisoformat(row["claimed_at"])).total_seconds()


def _resume(figma: FigmaBench) -> None:
    """Close the circuits, as after the wait, and make the snoozed jobs due."""
    for circuit in RateLimits(figma.transport).open_circuits():
        RateLimits(figma.transport).close_circuit(circuit.document["name"])
    figma.make_due()
