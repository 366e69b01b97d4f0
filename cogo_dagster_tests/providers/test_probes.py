"""Probes: real requests to a real server, with the address rules and the time limits in force."""

import socket
import threading

import pytest

from cogo_dagster.providers.probes import ProbeResult, ProbeTarget, probe_providers
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.doctor.site import Request, site


def probe(url: str, *allowed: str, timeout_seconds: float = 5) -> ProbeResult:
    """Probe one address."""
    [result] = probe_providers([ProbeTarget("one", "chat", url)], allowed, timeout_seconds=timeout_seconds)
    return result


@pytest.mark.parametrize(
    ("status", "healthy"),
    [(200, True), (204, True), (401, True), (404, True), (429, False), (500, False), (503, False)],
)
def test_who_answers_below_500_is_there(status: int, healthy: bool) -> None:
    """A wanted login counts; too many requests do not. The time it took is told either way."""
    with site(lambda _: (status, {}, b"")) as there:
        found = probe(there.url, there.host)
    assert found.healthy is healthy
    assert found.latency_ms is not None
    assert found.latency_ms > 0
    assert found.error == (None if healthy else f"It answers {status}.")


def test_nobody_there_is_said() -> None:
    """A port that refuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    found = probe(f"http://{host}/", host)
    assert (found.healthy, found.latency_ms) == (False, None)
    assert found.error
    assert "could not be reached" in found.error


def test_who_does_not_answer_in_time_is_not_healthy() -> None:
    """The limit is for the whole, and other probes do not wait for it."""
    let_go = threading.Event()

    def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
        if request.path == "/slow":
            let_go.wait(20)
        return 200, {}, b""

    with site(answer) as there:
        targets = [ProbeTarget(name, "chat", f"{there.url}/{name}") for name in ("slow", "fast")]
        slow, fast = probe_providers(targets, [there.host], timeout_seconds=3)
        let_go.set()
    assert (slow.healthy, slow.error) == (False, "There was no answer within 3 s.")
    assert fast.healthy


def test_a_private_address_is_refused_and_the_variable_named() -> None:
    """Also behind a redirect; no request gets there."""
    with site(lambda _: (200, {}, b"")) as private:
        refused = probe(private.url)
        with site(lambda _: (302, {"location": private.url}, b"")) as there:
            redirected = probe(there.url, there.host)
        assert private.requests == []
    for found in (refused, redirected):
        assert not found.healthy
        assert found.error
        assert "PROVIDER_ALLOWED_HOSTS" in found.error


def test_one_address_is_asked_once_for_all_its_capabilities() -> None:
    """And a secret in its query stays out of the error."""
    with site(lambda _: (200, {}, b"")) as there:
        targets = [ProbeTarget("one", capability, f"{there.url}/v1") for capability in ("chat", "vision")]
        results = probe_providers(targets, [there.host])
        assert len(there.requests) == 1
    assert [(found.capability, found.healthy) for found in results] == [("chat", True), ("vision", True)]
    gone = probe(f"{there.url}/v1?key=canary-7f3a91d2", there.host)
    assert "canary" not in str(gone)


def test_the_command_probes_keeps_and_chooses(cogo: Terminal) -> None:
    """From registration to a choice, on the database path."""
    with site(lambda request: (503 if request.path == "/ill" else 200, {}, b"")) as there:
        cogo.ok("router", "add", "ill", "--capability", "chat", "--url", f"{there.url}/ill", "--cost", "1")
        cogo.ok("router", "add", "well", "--capability", "chat", "--url", f"{there.url}/well", "--cost", "2")
        assert cogo.ok("router", "select", "--capability", "chat")["provider"] == "ill"
        probed = cogo.ok("router", "probe", PROVIDER_ALLOWED_HOSTS=there.host)
        assert (probed["probed"], probed["healthy"], len(probed["results"])) == (2, 1, 2)
    chosen = cogo.ok("router", "select", "--capability", "chat")
    assert (chosen["provider"], chosen["healthy"]) == ("well", True)
    assert [row["healthy"] for row in cogo.ok("router", "list")] == [False, True]
    assert "failing" in cogo.run("router", "list").out
    assert "well is the cheapest healthy provider of chat." in cogo.run("router", "select", "--capability", "chat").out


def test_the_command_says_when_nobody_can_be_chosen(cogo: Terminal) -> None:
    """The document stands on standard output all the same, and the exit code is 1."""
    answer = cogo.run("router", "select", "--capability", "paint", "--json")
    assert (answer.code, answer.json["provider"]) == (1, None)
    assert "cogo router add" in answer.err
    assert cogo.run("router", "select").code == 2
    assert cogo.run("router", "add", "one", "--capability", "Chat!").code == 2
    assert cogo.ok("router", "remove", "one")["changed"] == 0
    assert cogo.ok("router", "probe") == {"probed": 0, "healthy": 0, "results": []}
