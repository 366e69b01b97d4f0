"""Figma's rate limits: no attempt is consumed, all workers hear of it, and what is done stays done."""

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
from cogo_dagster_tests.executors.figma_server import Given

DAYS: Given = (
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


def test_a_refusal_of_days_puts_the_job_off_and_consumes_nothing(figma: FigmaBench) -> None:
    """It waits as long as Figma says, with all its attempts, and the reason names plan, seat and where to upgrade."""
    figma.figma.next = [None, DAYS]
    row = figma.run(node_ids=["1:1"])
    assert (row["status"], row["attempts"], row["snoozes"]) == ("queued", 0, 1)
    assert _seconds(row) >= 231_890
    assert row["error"]["message"] == (
        "Figma allows no more calls of tier1 for 2.68 d "
        "(plan starter, seat View or Collab, limit type low, upgrade https://www.figma.com/files)."
    )


def test_the_circuit_stops_every_worker_with_that_token(figma: FigmaBench) -> None:
    """The second worker asks for nothing dear, and its job is put off with the same reason."""
    figma.figma.next = [None, DAYS]
    first = figma.run(node_ids=["1:1"])
    second = figma.enqueue(node_ids=["1:2"])
    figma.work(figma.executor())
    row = figma.look(second)
    assert (row["status"], row["attempts"]) == ("queued", 0)
    assert row["error"]["message"] == first["error"]["message"]
    assert _seconds(row) > 231_000
    assert figma.figma.paths() == ["/v1/files/KEY/meta", "/v1/images/KEY", "/v1/files/KEY/meta"]


def test_another_token_and_the_other_tier_go_on(figma: FigmaBench) -> None:
    """A circuit is of one token and one tier."""
    figma.figma.next = [None, DAYS]
    figma.run(node_ids=["1:1"])
    job = figma.enqueue(node_ids=["1:2"])
    figma.work(figma.executor(token="figd_another-0123456789"))
    assert figma.look(job)["status"] == "succeeded"


def test_a_limit_of_one_files_plan_stops_no_other_file(figma: FigmaBench) -> None:
    """It is the file's plan that allows six calls a month; the limit of a minute is the token's."""
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


def test_a_file_of_another_plan_is_exported_meanwhile(figma: FigmaBench) -> None:
    """The job of the first file is put off for days; that of the second file, with the same token, succeeds."""
    figma.figma.keys = ("KEY", "OTHER")
    figma.figma.next = [None, DAYS]
    first = figma.run(node_ids=["1:1"])
    second = figma.run(file_key="OTHER", node_ids=["1:1"])
    assert (first["status"], first["attempts"]) == ("queued", 0)
    assert (second["status"], second["attempts"], len(second["result"]["files"])) == ("succeeded", 1, 1)


def test_what_came_before_the_refusal_is_kept(figma: FigmaBench) -> None:
    """Of three batches the second was refused: after the wait, only the last two are asked for."""
    figma.figma.next = [None, None, DAYS]
    nodes = [f"1:{n}" for n in range(1, 8)]
    job = figma.enqueue(node_ids=nodes)
    figma.work(figma.executor(batch=3))
    assert len(figma.look(job)["artifacts"]) == 3
    _let_go_on(figma)
    figma.work(figma.executor(batch=3))
    row = figma.look(job)
    assert (row["status"], row["attempts"], len(row["artifacts"])) == ("succeeded", 1, 7)
    assert (len(row["result"]["files"]), row["result"]["cached"]) == (7, 3)
    assert figma.figma.batches() == [nodes[:3], nodes[3:6], nodes[3:6], nodes[6:]]


def test_a_refused_look_at_the_file_puts_the_job_off_too(figma: FigmaBench) -> None:
    """Tier 2 has a circuit of its own."""
    figma.figma.next = [(429, {"status": 429, "err": "Rate limit exceeded"}, {"Retry-After": "30"})]
    row = figma.run(node_ids=["1:1"])
    assert (row["status"], row["attempts"]) == ("queued", 0)
    assert row["error"]["message"] == "Figma allows no more calls of tier2 for 30 s."
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
def test_a_refusal_that_says_nothing_sensible_is_waited_out_sensibly(
    figma: FigmaBench, retry_after: str | None, seconds: float
) -> None:
    """A minute where nothing is said, a week at most, never nothing."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    figma.figma.next = [None, (429, {"status": 429, "err": "Rate limit exceeded"}, headers)]
    row = figma.run(node_ids=["1:1"])
    assert row["status"] == "queued"
    assert seconds - 5 <= _seconds(row) <= seconds * 1.1 + 2


def test_calls_that_a_minute_does_not_hold_wait_or_are_put_off(figma: FigmaBench, owner: Any) -> None:
    """The bucket is empty and another worker would have to wait for a token longer than it has patience."""
    rates = RateLimits(figma.transport)
    gate = RateGate(rates, "0123456789ab", max_wait_seconds=0.0)
    for _ in range(10):
        asyncio.run(gate.acquire(Tier.EXPENSIVE))
    with pytest.raises(Snooze, match="Other jobs use up") as put_off:
        asyncio.run(gate.acquire(Tier.EXPENSIVE))
    assert 0 < put_off.value.delay_seconds < 10
    owner.execute("update public.rate_limits set refilled_at = refilled_at - interval '5.9 seconds'")
    asyncio.run(RateGate(rates, "0123456789ab", max_wait_seconds=30).acquire(Tier.EXPENSIVE))


def test_a_database_that_is_away_consumes_no_attempt(figma: FigmaBench) -> None:
    """The executor cannot ask whether Figma may be asked, so it does not, and tries again soon."""
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(Deaf(figma.transport, "acquire_rate")))
    row = figma.look(job)
    assert (row["status"], row["attempts"], figma.figma.asked) == ("queued", 0, [])
    assert 10 < _seconds(row) < 20


def test_a_circuit_that_cannot_be_opened_still_puts_the_job_off(figma: FigmaBench) -> None:
    """The next worker hears it from Figma itself."""
    figma.figma.next = [None, DAYS]
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(Deaf(figma.transport, "open_circuit")))
    assert (figma.look(job)["status"], figma.look(job)["attempts"]) == ("queued", 0)
    assert RateLimits(figma.transport).open_circuits() == []


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({}, "Figma allows no more calls of tier1 for 1.5 h."),
        (
            {"x-figma-rate-limit-type": "high", "x-figma-plan-tier": "org"},
            "Figma allows no more calls of tier1 for 1.5 h (plan org, seat Dev or Full, limit type high).",
        ),
        (
            {"x-figma-plan-tier": "figd_0123456789abcdef"},
            "Figma allows no more calls of tier1 for 1.5 h (plan [hidden]).",
        ),
    ],
)
def test_a_refusal_is_one_sentence(headers: dict[str, str], sentence: str) -> None:
    """With what Figma's headers say, and nothing secret."""
    assert rate_limit_message(Tier.EXPENSIVE, 5_400, headers) == sentence


class Deaf:
    """A connection that breaks at one function."""

    def __init__(self, transport: Transport, function: str) -> None:
        self._transport = transport
        self._function = function

    def call(self, function: str, arguments: Any) -> Json:
        """Break, or pass on."""
        if function == self._function:
            raise TransportError("The connection to the database broke.")
        return self._transport.call(function, arguments)

    def close(self) -> None:
        """Leave it open."""


def _seconds(row: Json) -> float:
    return (datetime.fromisoformat(row["next_run_at"]) - datetime.fromisoformat(row["claimed_at"])).total_seconds()


def _let_go_on(figma: FigmaBench) -> None:
    """Close the circuit, as after the wait, and make what was put off due."""
    for circuit in RateLimits(figma.transport).open_circuits():
        RateLimits(figma.transport).close_circuit(circuit.document["name"])
    figma.make_due()
