"""Health probes with a real server: statuses, timeouts and address rules."""

import socket
import threading

import pytest

from cogo_dagster.providers.probes import ProbeResult, ProbeTarget, probe_providers
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.doctor.site import Request, site


def probe(url: str, *allowed: str, timeout_seconds: float = 5) -> ProbeResult:
    """Probe one URL."""
    [result] = probe_providers([ProbeTarget("one", "chat", url)], allowed, timeout_seconds=timeout_seconds)
    return result


@pytest.mark.parametrize(
    ("status", "healthy"),
    [(200, True), (204, True), (401, True), (404, True), (429, False), (500, False), (503, False)],
)
def test_a_status_below_500_is_healthy(status: int, healthy: bool) -> None:
    """A required login is healthy, too many requests are not; the latency is measured in both cases."""
    with site(lambda _: (status, {}, b"")) as there:
        found = probe(there.url, there.host)
    assert found.healthy is healthy
    assert found.latency_ms is not None
    assert found.latency_ms > 0
    assert found.error == (None if healthy else f"Response status {status}.")


def test_an_unreachable_provider_is_unhealthy() -> None:
    """Nothing listens on the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    found = probe(f"http://{host}/", host)
    assert (found.healthy, found.latency_ms) == (False, None)
    assert found.error
    assert "could not be reached" in found.error


def test_a_slow_provider_is_unhealthy() -> None:
    """The timeout covers the whole request, and other probes are not delayed."""
    released = threading.Event()

    def respond(request: Request) -> tuple[int, dict[str, str], bytes]:
        if request.path == "/slow":
            released.wait(20)
        return 200, {}, b""

    with site(respond) as there:
        targets = [ProbeTarget(name, "chat", f"{there.url}/{name}") for name in ("slow", "fast")]
        slow, fast = probe_providers(targets, [there.host], timeout_seconds=3)
        released.set()
    assert (slow.healthy, slow.error) == (False, "No response within 3 s.")
    assert fast.healthy


def test_a_private_address_is_rejected() -> None:
    """The message names the variable; a redirect is checked too, and no request is sent."""
    with site(lambda _: (200, {}, b"")) as private:
        rejected = probe(private.url)
        with site(lambda _: (302, {"location": private.url}, b"")) as there:
            redirected = probe(there.url, there.host)
        assert private.requests == []
    for found in (rejected, redirected):
        assert not found.healthy
        assert found.error
        assert "PROVIDER_ALLOWED_HOSTS" in found.error


def test_a_url_is_requested_once_for_all_capabilities() -> None:
    """A secret in its query is not in the error."""
    with site(lambda _: (200, {}, b"")) as there:
        targets = [ProbeTarget("one", capability, f"{there.url}/v1") for capability in ("chat", "vision")]
        results = probe_providers(targets, [there.host])
        assert len(there.requests) == 1
    assert [(found.capability, found.healthy) for found in results] == [("chat", True), ("vision", True)]
    stopped = probe(f"{there.url}/v1?key=canary-7f3a91d2", there.host)
    assert "canary" not in str(stopped)


def test_probes_change_the_selection(cogo: Terminal) -> None:
    """A provider is registered, probed and selected on the database path."""
    with site(lambda request: (503 if request.path == "/failing" else 200, {}, b"")) as there:
        cogo.ok("router", "add", "broken", "--capability", "chat", "--url", f"{there.url}/failing", "--cost", "1")
        cogo.ok("router", "add", "working", "--capability", "chat", "--url", f"{there.url}/working", "--cost", "2")
        assert cogo.ok("router", "select", "--capability", "chat")["provider"] == "broken"
        probed = cogo.ok("router", "probe", PROVIDER_ALLOWED_HOSTS=there.host)
        assert (probed["probed"], probed["healthy"], len(probed["results"])) == (2, 1, 2)
    chosen = cogo.ok("router", "select", "--capability", "chat")
    assert (chosen["provider"], chosen["healthy"]) == ("working", True)
    assert [row["healthy"] for row in cogo.ok("router", "list")] == [False, True]
    assert "failing" in cogo.run("router", "list").out
    assert (
        "working is the cheapest healthy provider of chat." in cogo.run("router", "select", "--capability", "chat").out
    )


def test_no_provider_can_be_selected(cogo: Terminal) -> None:
    """The document is printed with exit code 1, and the message names the command to register one."""
    answer = cogo.run("router", "select", "--capability", "paint", "--json")
    assert (answer.code, answer.json["provider"]) == (1, None)
    assert "cogo router add" in answer.err
    assert cogo.run("router", "select").code == 2
    assert cogo.run("router", "add", "one", "--capability", "Chat!").code == 2
    assert cogo.ok("router", "remove", "one")["changed"] == 0
    assert cogo.ok("router", "probe") == {"probed": 0, "healthy": 0, "results": []}
