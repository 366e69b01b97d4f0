"""Providers in the database: what is registered, how each is, and which one is chosen."""

from typing import Any

import pytest

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner


def register(transport: Transport, provider: str, cost: float, *capabilities: str) -> None:
    """Register a provider for capabilities, `chat` if none is named."""
    for capability in capabilities or ("chat",):
        transport.call("set_provider", {"provider": provider, "capability": capability, "cost": cost})


def probed(transport: Transport, provider: str, healthy: bool, capability: str = "chat", **more: Json) -> Any:
    """Record a probe."""
    result = {"provider": provider, "capability": capability, "healthy": healthy, "latency_ms": 10, "error": None}
    return transport.call("record_provider_health", {"results": [result | more]})


def select(transport: Transport, *capabilities: str, **more: Json) -> Any:
    """Choose."""
    return transport.call("select_provider", {"capabilities": list(capabilities or ("chat",)), **more})


def order(answer: Any) -> list[str]:
    """Return the candidates' names in order."""
    return [candidate["provider"] for candidate in answer["candidates"]]


def test_the_cheapest_healthy_provider_is_chosen(transport: Transport) -> None:
    """A failing one is not, however cheap; one that was never probed comes after the healthy ones."""
    for provider, cost in (("failing", 1.0), ("unknown", 2.0), ("dear", 9.0), ("fair", 5.0)):
        register(transport, provider, cost)
    probed(transport, "failing", False, error="It answers 503.")
    probed(transport, "dear", True)
    probed(transport, "fair", True)
    answer = select(transport)
    assert (answer["provider"], answer["cost"], answer["healthy"]) == ("fair", 5, True)
    assert order(answer) == ["fair", "dear", "unknown", "failing"]
    assert answer["candidates"][-1]["error"] == "It answers 503."
    assert answer["reason"] == "fair is the cheapest healthy provider of chat."


def test_of_equal_cost_the_faster_is_chosen(transport: Transport) -> None:
    """By its last probe."""
    for provider, latency_ms in (("slow", 900), ("fast", 20)):
        register(transport, provider, 1)
        probed(transport, provider, True, latency_ms=latency_ms)
    assert select(transport)["provider"] == "fast"


def test_a_provider_must_have_all_capabilities(transport: Transport) -> None:
    """Their costs are added, and one that fails makes it unfit."""
    register(transport, "half", 1, "chat")
    register(transport, "whole", 2, "chat", "vision")
    register(transport, "other", 3, "chat", "vision")
    assert select(transport, "chat", "vision")["provider"] == "whole"
    assert select(transport, "vision", "chat", "chat")["cost"] == 4
    probed(transport, "whole", False, "vision")
    assert select(transport, "chat", "vision")["provider"] == "other"
    assert select(transport, "chat")["provider"] == "half"


def test_an_old_probe_says_nothing(transport: Transport, owner: Owner) -> None:
    """Neither for a provider nor against it."""
    register(transport, "was_failing", 1)
    register(transport, "is_healthy", 2)
    probed(transport, "was_failing", False)
    probed(transport, "is_healthy", True)
    owner.execute("update public.provider_health set checked_at = now() - interval '16 min' where not healthy")
    assert order(select(transport)) == ["is_healthy", "was_failing"]
    assert select(transport)["candidates"][1]["healthy"] is None
    assert select(transport, max_age_seconds=3_600)["candidates"][1]["healthy"] is False


def test_where_nobody_can_be_chosen_the_reason_is_said(transport: Transport) -> None:
    """Nobody is registered, or nobody is healthy."""
    nobody = select(transport, "paint")
    assert (nobody["provider"], nobody["candidates"]) == (None, [])
    assert "No provider is registered for paint" in nobody["reason"]
    register(transport, "failing", 1)
    probed(transport, "failing", False)
    nobody = select(transport)
    assert (nobody["provider"], order(nobody)) == (None, ["failing"])
    assert "No provider of chat is healthy" in nobody["reason"]
    assert set(nobody) == set(select(transport, "paint"))


def test_a_provider_that_is_off_is_not_chosen_and_what_is_left_out_stays(transport: Transport) -> None:
    """Its cost and address are as they were when it is on again."""
    call = {"provider": "one", "capability": "chat"}
    transport.call("set_provider", call | {"cost": 3, "probe_url": "https://one.example/"})
    transport.call("set_provider", call | {"enabled": False})
    assert select(transport)["provider"] is None
    kept = transport.call("set_provider", call | {"enabled": True})
    assert (kept["cost"], kept["probe_url"], kept["enabled"]) == (3, "https://one.example/", True)
    assert select(transport)["provider"] == "one"


def test_the_list_shows_the_last_probe(transport: Transport) -> None:
    """And nothing where there was none."""
    register(transport, "one", 1)
    register(transport, "two", 2)
    probed(transport, "one", True)
    one, two = transport.call("list_providers", {})
    assert (one["healthy"], one["latency_ms"]) == (True, 10)
    assert (two["healthy"], two["checked_at"]) == (None, None)
    assert transport.call("list_providers", {"capability": "vision"}) == []


def test_a_probe_tells_what_changed_and_since_when(transport: Transport) -> None:
    """The first is a change, the same again is none; a repeated call changes nothing."""
    assert probed(transport, "one", True)["changed"] == [{"provider": "one", "capability": "chat", "healthy": True}]
    assert probed(transport, "one", True)["changed"] == []
    [first] = transport.call("list_provider_health", {})
    assert first["since"] < first["checked_at"]
    assert len(probed(transport, "one", False, error="x" * 1_000)["changed"]) == 1
    [second] = transport.call("list_provider_health", {})
    assert (second["healthy"], second["since"], len(second["error"])) == (False, second["checked_at"], 500)


def test_what_nobody_probes_any_more_goes_after_a_week(transport: Transport, owner: Owner) -> None:
    """A service that the settings used once would stay on the dashboard for ever."""
    probed(transport, "gone", True)
    owner.execute("update public.provider_health set checked_at = now() - interval '8 days'")
    probed(transport, "one", True)
    assert [row["provider"] for row in transport.call("list_provider_health", {})] == ["one"]


def test_removing_a_provider_takes_its_health_along(transport: Transport) -> None:
    """For one capability, or for all."""
    register(transport, "one", 1, "chat", "vision")
    probed(transport, "one", True)
    probed(transport, "one", True, "vision")
    assert transport.call("remove_provider", {"provider": "one", "capability": "chat"})["changed"] == 1
    assert [row["capability"] for row in transport.call("list_provider_health", {})] == ["vision"]
    assert transport.call("remove_provider", {"provider": "one"})["changed"] == 1
    assert transport.call("remove_provider", {"provider": "one"})["changed"] == 0
    assert transport.call("list_provider_health", {}) == []


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("set_provider", {"provider": "One", "capability": "chat"}),
        ("set_provider", {"provider": "one", "capability": None}),
        ("set_provider", {"provider": "one", "capability": "chat", "cost": -1}),
        ("set_provider", {"provider": "one", "capability": "chat", "probe_url": "ftp://one.example/"}),
        ("set_provider", {"provider": "one", "capability": "chat", "probe_url": "https://me:secret@one.example/"}),
        ("record_provider_health", {"results": {}}),
        ("record_provider_health", {"results": None}),
        ("record_provider_health", {"results": [{"provider": "one", "capability": "chat"}]}),
        ("record_provider_health", {"results": [{"provider": None, "capability": "chat", "healthy": True}]}),
        ("select_provider", {"capabilities": []}),
        ("select_provider", {"capabilities": None}),
        ("select_provider", {"capabilities": [1]}),
        ("select_provider", {"capabilities": "chat"}),
    ],
)
def test_what_cannot_be_meant_is_refused(transport: Transport, function: str, arguments: dict[str, Json]) -> None:
    """Nothing is kept."""
    with pytest.raises(InvalidArgument):
        transport.call(function, arguments)
    assert transport.call("list_providers", {}) == transport.call("list_provider_health", {}) == []
