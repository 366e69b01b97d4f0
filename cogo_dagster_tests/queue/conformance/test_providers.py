"""Providers in the database: registration, health and selection."""

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
    """Select a provider."""
    return transport.call("select_provider", {"capabilities": list(capabilities or ("chat",)), **more})


def order(answer: Any) -> list[str]:
    """Return the names of the candidates in order."""
    return [candidate["provider"] for candidate in answer["candidates"]]


def test_the_cheapest_healthy_provider_is_chosen(transport: Transport) -> None:
    """An unhealthy one is not chosen, however cheap; one without a probe ranks after the healthy ones."""
    for provider, cost in (("failing", 1.0), ("unknown", 2.0), ("expensive", 9.0), ("fair", 5.0)):
        register(transport, provider, cost)
    probed(transport, "failing", False, error="It answers 503.")
    probed(transport, "expensive", True)
    probed(transport, "fair", True)
    answer = select(transport)
    assert (answer["provider"], answer["cost"], answer["healthy"]) == ("fair", 5, True)
    assert order(answer) == ["fair", "expensive", "unknown", "failing"]
    assert answer["candidates"][-1]["error"] == "It answers 503."
    assert answer["reason"] == "fair is the cheapest healthy provider of chat."


def test_of_equal_cost_the_faster_is_chosen(transport: Transport) -> None:
    """The latency is that of the last probe."""
    for provider, latency_ms in (("slow", 900), ("fast", 20)):
        register(transport, provider, 1)
        probed(transport, provider, True, latency_ms=latency_ms)
    assert select(transport)["provider"] == "fast"


def test_a_provider_must_have_all_capabilities(transport: Transport) -> None:
    """The costs of the capabilities are added, and one unhealthy capability excludes the provider."""
    register(transport, "half", 1, "chat")
    register(transport, "whole", 2, "chat", "vision")
    register(transport, "other", 3, "chat", "vision")
    assert select(transport, "chat", "vision")["provider"] == "whole"
    assert select(transport, "vision", "chat", "chat")["cost"] == 4
    probed(transport, "whole", False, "vision")
    assert select(transport, "chat", "vision")["provider"] == "other"
    assert select(transport, "chat")["provider"] == "half"


def test_an_old_probe_is_ignored(transport: Transport, owner: Owner) -> None:
    """It counts neither for nor against a provider."""
    register(transport, "was_failing", 1)
    register(transport, "is_healthy", 2)
    probed(transport, "was_failing", False)
    probed(transport, "is_healthy", True)
    owner.execute("update public.provider_health set checked_at = now() - interval '16 min' where not healthy")
    assert order(select(transport)) == ["is_healthy", "was_failing"]
    assert select(transport)["candidates"][1]["healthy"] is None
    assert select(transport, max_age_seconds=3_600)["candidates"][1]["healthy"] is False


def test_a_reason_is_returned_if_there_is_no_candidate(transport: Transport) -> None:
    """No provider is registered, or none is healthy."""
    answer = select(transport, "paint")
    assert (answer["provider"], answer["candidates"]) == (None, [])
    assert "No provider is registered for paint" in answer["reason"]
    register(transport, "failing", 1)
    probed(transport, "failing", False)
    answer = select(transport)
    assert (answer["provider"], order(answer)) == (None, ["failing"])
    assert "No provider of chat is healthy" in answer["reason"]
    assert set(answer) == set(select(transport, "paint"))


def test_a_disabled_provider_is_not_chosen_and_keeps_its_fields(transport: Transport) -> None:
    """Cost and URL are unchanged when it is enabled again."""
    call = {"provider": "one", "capability": "chat"}
    transport.call("set_provider", call | {"cost": 3, "probe_url": "https://one.example/"})
    transport.call("set_provider", call | {"enabled": False})
    assert select(transport)["provider"] is None
    kept = transport.call("set_provider", call | {"enabled": True})
    assert (kept["cost"], kept["probe_url"], kept["enabled"]) == (3, "https://one.example/", True)
    assert select(transport)["provider"] == "one"


def test_the_list_shows_the_last_probe(transport: Transport) -> None:
    """A provider without a probe has none."""
    register(transport, "one", 1)
    register(transport, "two", 2)
    probed(transport, "one", True)
    one, two = transport.call("list_providers", {})
    assert (one["healthy"], one["latency_ms"]) == (True, 10)
    assert (two["healthy"], two["checked_at"]) == (None, None)
    assert transport.call("list_providers", {"capability": "vision"}) == []


def test_a_probe_returns_what_changed_and_since_when(transport: Transport) -> None:
    """The first result is a change, an equal one is not; a repeated call changes nothing."""
    assert probed(transport, "one", True)["changed"] == [{"provider": "one", "capability": "chat", "healthy": True}]
    assert probed(transport, "one", True)["changed"] == []
    [first] = transport.call("list_provider_health", {})
    assert first["since"] < first["checked_at"]
    assert len(probed(transport, "one", False, error="x" * 1_000)["changed"]) == 1
    [second] = transport.call("list_provider_health", {})
    assert (second["healthy"], second["since"], len(second["error"])) == (False, second["checked_at"], 500)


def test_health_that_is_no_longer_probed_is_deleted_after_a_week(transport: Transport, owner: Owner) -> None:
    """A service that is no longer configured would otherwise stay on the dashboard."""
    probed(transport, "gone", True)
    owner.execute("update public.provider_health set checked_at = now() - interval '8 days'")
    probed(transport, "one", True)
    assert [row["provider"] for row in transport.call("list_provider_health", {})] == ["one"]


def test_removing_a_provider_removes_its_health(transport: Transport) -> None:
    """One capability can be removed, or all."""
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
def test_invalid_arguments_are_rejected(transport: Transport, function: str, arguments: dict[str, Json]) -> None:
    """Nothing is stored."""
    with pytest.raises(InvalidArgument):
        transport.call(function, arguments)
    assert transport.call("list_providers", {}) == transport.call("list_provider_health", {}) == []
