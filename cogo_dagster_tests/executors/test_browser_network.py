"""Address rules: pages cannot reach private addresses by any means; network errors have classes."""

import json
import socket
from collections.abc import Iterator, Sequence

import pytest

from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload
from cogo_dagster_tests.executors.bench import Bench, artifact, names
from cogo_dagster_tests.executors.site import Site


@pytest.fixture
def secret(shared: Bench, neighbour: Site) -> Iterator[Site]:
    """A private site with a secret; checks at the end that there was no connection to it."""
    neighbour.pages["/secret"] = "<title>Secret</title><h1>secret</h1>"
    yield neighbour
    assert neighbour.connections == 0


def check_no_picture(error: ExecutionFailed) -> None:
    """Check that a site that was not reached has no picture of the message that stands for it, and that it says so."""
    assert {"screenshot.png", "page.html"}.isdisjoint(names(error))
    missing = json.loads(artifact(error, "evidence.json"))["missing"]
    assert missing.keys() == {"screenshot.png", "page.html"}
    assert missing["screenshot.png"] == "The site was not reached."


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:1", "chrome://version", "ftp://x/", "about:blank", ""]
)
def test_only_web_pages_are_opened(shared: Bench, url: str) -> None:
    """Other schemes are rejected when the job is enqueued, in the payload's URL and in actions."""
    with pytest.raises(InvalidPayload, match=r"must start with http:// or https://"):
        shared.executor.parse("browser", {"url": url})
    with pytest.raises(InvalidPayload, match=r"actions\.0\.goto\.url: must start with"):
        shared.executor.parse("browser", {"url": "http://example.com", "actions": [{"do": "goto", "url": url}]})


def test_a_private_address_is_rejected_at_enqueue(shared: Bench, secret: Site) -> None:
    """The error names the variable that allows the address; an allowed site is accepted."""
    with pytest.raises(
        InvalidPayload, match=r"^127\.0\.0\.1 is a private address: add 127\.0\.0\.1 to BROWSER_ALLOWED_"
    ):
        shared.executor.parse("browser", {"url": secret.url("/secret")})
    assert shared.executor.parse("browser", {"url": shared.site.url()}).url == shared.site.url()


def test_a_redirect_to_a_private_address_is_blocked(shared: Bench, secret: Site) -> None:
    """A redirect to a private address is blocked, although only the first URL was checked at enqueue."""
    error = shared.fail({"url": shared.site.url(f"/to?{secret.url('/secret')}")})
    assert (error.error_class, error.retryable) == ("blocked_address", False)
    assert error.message.endswith("127.0.0.1 is a private address: add 127.0.0.1 to BROWSER_ALLOWED_HOSTS to allow it.")


def test_a_redirect_to_a_private_https_address_is_blocked(shared: Bench, secret: Site) -> None:
    """The error has the proxy's reason; the browser only reports a failed tunnel."""
    error = shared.fail({"url": shared.site.url(f"/to?https://{secret.authority}/secret")})
    assert (error.error_class, error.retryable) == ("blocked_address", False)


def test_a_page_cannot_open_files(shared: Bench) -> None:
    """Neither a script nor a frame can open a file."""
    found = shared.run({"url": shared.site.url("/file")})
    assert found.result["url"] == shared.site.url("/file")
    assert b"root:" not in artifact(found, "page.html")


UNTIL_DONE = [
    {"do": "wait_for", "selector": "#p:not(:text('waiting'))", "timeout_ms": 5_000},
    {"do": "extract", "name": "p", "selector": "#p"},
]
RTC = """<p id="p">waiting</p><script>
connection = new RTCPeerConnection({{iceServers: [
  {{urls: "stun:127.0.0.1:{stun}"}},
  {{urls: "turn:{turn}?transport=tcp", username: "a", credential: "b"}},
]}});
seen = [];
connection.onicecandidate = event => event.candidate && seen.push(event.candidate.candidate);
connection.createDataChannel("x");
connection.createOffer().then(offer => connection.setLocalDescription(offer));
setTimeout(() => p.textContent = "done " + seen, 500);
</script>"""
PARTS = {
    "image": "<img src='{url}' onload='done(1)' onerror='done(0)'>",
    "frame": "<iframe src='{url}' onload='done(0)'></iframe>",
    "script": "<script src='{url}' onload='done(1)' onerror='done(0)'></script>",
    "fetch": "<script>fetch('{url}', blind).then(r => done(0), () => done(0))</script>",
    "fetch after a redirect": "<script>fetch('/to?{url}', blind).then(r => done(0), () => done(0))</script>",
    "beacon": "<script>navigator.sendBeacon('{url}'); setTimeout(done, 100, 0)</script>",
    "web socket": "<script>w = new WebSocket('{socket}'); w.onopen = () => done(1); w.onerror = () => done(0)</script>",
    "event source": "<script>e = new EventSource('{url}'); e.onerror = () => {{ e.close(); done(0) }}</script>",
    "worker": "<script>new Worker(URL.createObjectURL(new Blob([\"fetch('{url}').finally(() => postMessage(0))\"])))"
    ".onmessage = () => done(0)</script>",
    "popup": "<script>open('{url}'); setTimeout(done, 300, 0)</script>",
    "style": "<link rel='stylesheet' href='{url}' onload='done(1)' onerror='done(0)'>",
    "prefetch": "<link rel='preconnect' href='{url}'><link rel='prefetch' href='{url}'>"
    "<script>setTimeout(done, 300, 0)</script>",
}


def test_parts_of_a_page_cannot_reach_a_private_address(shared: Bench, secret: Site) -> None:
    """No kind of subresource reaches the private site, and the page cannot detect that it exists."""
    for number, part in enumerate(PARTS.values()):
        shared.site.pages[f"/part/{number}"] = (
            "<p id='p'>waiting</p>"
            "<script>blind = {mode: 'no-cors'}; done = ok => p.textContent = ok ? 'reached' : 'refused'</script>"
            + part.format(url=secret.url("/secret"), socket=f"ws://{secret.authority}/socket")
        )
    frames = "".join(f"<iframe src='/part/{number}'></iframe>" for number in range(len(PARTS)))
    shared.site.pages["/parts"] = (
        f"<p id='p'>waiting</p>{frames}<script>setInterval(() => {{"
        " const seen = [...document.querySelectorAll('iframe')].map(one => one.contentDocument.querySelector('#p'));"
        " const texts = seen.map(one => one ? one.textContent : 'waiting');"
        " if (!texts.includes('waiting')) p.textContent = texts.join() }, 20)</script>"
    )
    found = shared.run({"url": shared.site.url("/parts"), "actions": UNTIL_DONE, "screenshot": False, "html": False})
    outcomes = dict(zip(PARTS, found.result["extracted"]["p"].split(","), strict=True))
    assert outcomes == dict.fromkeys(PARTS, "refused")


def test_blocked_subresources_are_listed_in_the_result(shared: Bench, secret: Site) -> None:
    """A page with blocked subresources succeeds, and the result lists them."""
    shared.site.pages["/parts"] = f"<title>ok</title><img src='{secret.url('/secret')}'>"
    found = shared.run({"url": shared.site.url("/parts")})
    assert found.result["refused"] == [
        "127.0.0.1 is a private address: add 127.0.0.1 to BROWSER_ALLOWED_HOSTS to allow it."
    ]


def test_web_sockets_work_where_they_are_allowed(shared: Bench) -> None:
    """WebSockets work through the proxy if the host is allowed."""
    shared.site.pages["/talk"] = (
        f"<p id='p'></p><script>socket = new WebSocket('ws://{shared.site.authority}/socket');"
        "socket.onmessage = event => p.textContent = event.data</script>"
    )
    found = shared.run({"url": shared.site.url("/talk"), "actions": [{"do": "wait_for", "text": "hello"}]})
    assert b"hello" in artifact(found, "page.html")


def test_webrtc_is_blocked(shared: Bench, secret: Site) -> None:
    """WebRTC sends no datagram to a STUN server and opens no connection to a TURN server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stun:
        stun.bind(("127.0.0.1", 0))
        stun.setblocking(False)
        shared.site.pages["/rtc"] = RTC.format(stun=stun.getsockname()[1], turn=secret.authority)
        found = shared.run({"url": shared.site.url("/rtc"), "actions": UNTIL_DONE})
        with pytest.raises(BlockingIOError):
            stun.recv(1)
    assert "udp" not in found.result["extracted"]["p"]


def test_a_page_gets_no_service_worker(shared: Bench) -> None:
    """Registering a service worker never succeeds, since its requests could outlive the page."""
    shared.site.pages["/serviced"] = (
        "<p id='p'>waiting</p><script>setTimeout(() => p.textContent = 'none', 1000);"
        "navigator.serviceWorker?.register('/sw.js').then(r => p.textContent = r ? 'installed' : 'none', "
        "() => p.textContent = 'none')</script>"
    )
    found = shared.run({"url": shared.site.url("/serviced"), "actions": UNTIL_DONE, "screenshot": False})
    assert found.result["extracted"]["p"] == "none"
    assert "/sw.js" not in shared.site.requests


def test_names_are_resolved_by_the_executor(shared: Bench, neighbour: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The executor's resolver is used: a name of a private address is blocked, and an unknown name fails."""
    asked: list[str] = []

    async def resolver(host: str) -> Sequence[str]:
        asked.append(host)
        if host == "unknown.test":
            raise OSError(-2, "Name or service not known")
        return ["127.0.0.1"]

    shared.change(monkeypatch, resolver)
    error = shared.fail({"url": f"http://127.0.0.1.nip.test:{neighbour.server.server_port}/secret"})
    assert (error.error_class, error.retryable) == ("blocked_address", False)
    assert "127.0.0.1.nip.test resolves to 127.0.0.1, a private address: add" in error.message
    for scheme in ("http", "https"):
        error = shared.fail({"url": f"{scheme}://unknown.test/"})
        assert (error.error_class, error.retryable) == ("dns", True)
        check_no_picture(error)
        assert "unknown.test could not be resolved" in error.message
    assert set(asked) >= {"127.0.0.1.nip.test", "unknown.test"}  # a full Chromium has requests of its own
    assert neighbour.connections == 0


def test_a_closed_port_is_a_connection_failure(open_bench: Bench) -> None:
    """A closed port is a retryable connection error, with http and with https."""
    with socket.socket() as bound:  # it never listens: a server's socket accepts connections until its thread leaves it
        bound.bind(("127.0.0.1", 0))
        authority = f"127.0.0.1:{bound.getsockname()[1]}"
        for scheme in ("http", "https"):
            error = open_bench.fail({"url": f"{scheme}://{authority}/"})
            assert (error.error_class, error.retryable) == ("connection", True)
            check_no_picture(error)
            assert f"{authority} could not be reached" in error.message
