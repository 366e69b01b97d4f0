"""What Figma and the network can do to a job, and where the token may never go."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.figma.executor import FigmaExecutor
from cogo_dagster.net import client
from cogo_dagster.queue.executor import ExecutorContext
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.executors.figma_bench import TOKEN, FigmaBench, figma_bench
from cogo_dagster_tests.executors.figma_server import Given
from cogo_dagster_tests.executors.site import Site


@pytest.mark.parametrize(
    ("answer", "status", "error_class", "words"),
    [
        ((403, {"status": 403, "err": "Invalid token"}, {}), "failed", "figma_token", "give FIGMA_API_TOKEN a valid"),
        (
            (
                403,
                {
                    "status": 403,
                    "err": "Invalid scope(s): file_metadata:read. This endpoint requires the file_content:read scope",
                },
                {},
            ),
            "failed",
            "figma_token",
            "a token with the scope file_content:read",
        ),
        ((403, {"status": 403, "err": "File not exportable"}, {}), "failed", "figma_forbidden", "owner restricts"),
        ((403, {"status": 403, "err": "Token expired"}, {}), "failed", "figma_token", "give FIGMA_API_TOKEN a valid"),
        (
            (403, b"<html><h1>Sorry, you have been blocked</h1></html>", {}),
            "queued",
            "figma_blocked",
            "a proxy or firewall",
        ),
        (
            (413, b"<h1>Request Entity Too Large</h1>", {}),
            "failed",
            "figma_request",
            "ask for less at once",
        ),
        (
            (403, {"status": 403, "err": "Not allowed"}, {}),
            "failed",
            "figma_forbidden",
            "must be able to open",
        ),
        ((404, {"status": 404, "err": "Not found"}, {}), "failed", "figma_not_found", "check the file's key"),
        ((400, {"status": 400, "err": "Request too large"}, {}), "failed", "figma_request", "ask for less at once"),
        ((500, {"status": 500, "err": "Internal error"}, {}), "queued", "figma_server", "(Internal error)"),
        ((403, b'{"error": true, "status": 403, "message": "No seat"}', {}), "failed", "figma_forbidden", "(No seat)"),
        ((502, b"<html><h1>Bad gateway</h1></html>", {}), "queued", "figma_server", "(Bad gateway)"),
        ((503, b"", {}), "queued", "figma_server", "(no reason given)"),
        ((200, b"<html>Sign in to the hotel</html>", {}), "queued", "figma_answer", "no JSON object"),
        ((200, b'{"name": "no document"}', {}), "queued", "figma_answer", "an answer without document"),
        ((200, b"[" * 200_000, {}), "queued", "figma_answer", "no JSON object"),
        ((418, b"{}", {}), "queued", "figma_answer", "(no reason given)"),
    ],
)
def test_every_refusal_has_a_class_and_a_sentence(
    figma: FigmaBench, answer: Given, status: str, error_class: str, words: str
) -> None:
    """Both of Figma's shapes of error, and what stands between us and Figma; time heals only some of it."""
    figma.figma.next = [None, answer]
    row = figma.run("figma")
    assert (row["status"], row["attempts"], row["error"]["class"]) == (status, 1, error_class)
    assert row["error"]["message"].startswith(f"Export of Figma file KEY: Figma answered {answer[0]} (")
    assert words in row["error"]["message"]


def test_a_file_that_is_not_there_costs_no_dear_call(figma: FigmaBench) -> None:
    """The look at its metadata says so."""
    row = figma.run(file_key="OTHER", node_ids=["1:1"])
    assert (row["status"], row["error"]["class"]) == ("failed", "figma_not_found")
    assert figma.figma.paths() == ["/v1/files/OTHER/meta"]


def test_a_figma_that_cannot_be_reached_is_tried_again(figma: FigmaBench) -> None:
    """The sentence says what did not work."""
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(api="http://127.0.0.1:9", allowed_hosts=("127.0.0.1:9",)))
    error = figma.look(job)["error"]
    assert (error["class"], error["retryable"]) == ("connection", True)
    assert error["message"].startswith("ask Figma for /v1/files/KEY/meta: 127.0.0.1:9 could not be reached")


def test_an_api_on_the_private_network_is_refused_unless_the_code_allows_it(figma: FigmaBench) -> None:
    """No setting does: whoever could make one point there would get the token."""
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(allowed_hosts=()))
    assert figma.look(job)["error"]["class"] == "blocked_address"
    assert figma.figma.asked == []


def test_the_settings_cannot_send_the_token_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment holds, the API is Figma's and nothing private is allowed."""
    for name in ("FIGMA_API_URL", "FIGMA_BASE_URL", "BROWSER_ALLOWED_HOSTS", "WEBHOOK_ALLOWED_HOSTS", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1" if "HOSTS" not in name else "127.0.0.1")
    options = FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN=TOKEN)))._options
    assert (options.api, options.allowed_hosts) == ("https://api.figma.com", ())


def test_a_link_to_the_private_network_is_not_followed(figma: FigmaBench, neighbour: Site) -> None:
    """Whoever can answer for Figma must not reach what is beside us."""
    figma.figma.elsewhere = {"1:2": neighbour.url("/secret.png")}
    row = figma.run(node_ids=["1:1", "1:2"])
    assert row["status"] == "succeeded", row["error"]
    assert row["result"]["failed"]["1:2"] == "fetch a rendering from 127.0.0.1: 127.0.0.1 is a private address"
    assert neighbour.requests == []


@pytest.mark.parametrize("link", ["file:///etc/passwd", "ftp://127.0.0.1/x.png", "https://127.0.0.1/x.png", "urn:x"])
def test_a_link_of_another_scheme_is_not_followed(figma: FigmaBench, link: str) -> None:
    """Figma's links are as Figma's API is."""
    figma.figma.elsewhere = {"1:2": link}
    row = figma.run(node_ids=["1:1", "1:2"])
    assert row["result"]["failed"]["1:2"] == "a link of Figma's: its scheme is not https"


def test_a_rendering_that_is_something_else_is_asked_for_again(figma: FigmaBench) -> None:
    """A page that says 200 is no picture."""
    figma.figma.nodes["1:2"] = "x"
    figma.figma.elsewhere = {"1:2": f"{figma.figma.url}/renders/1:2.svg"}
    row = figma.run(node_ids=["1:1", "1:2"])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("queued", 1, "figma_answer")
    assert "What came for 1:2 is no png." in row["error"]["message"]


def test_the_last_attempt_takes_what_there_is(figma: FigmaBench) -> None:
    """A node that could not be fetched five times does not take the others into the dead letters."""
    figma.figma.expired.update({"1:2": 1_000})
    job = figma.enqueue(node_ids=["1:1", "1:2"])
    for _ in range(5):
        figma.work()
        figma.make_due()
    row = figma.look(job)
    assert (row["status"], row["attempts"], row["result"]["files"]) == ("succeeded", 5, {"1:1": "1-1.png"})
    assert "does not work" in row["result"]["failed"]["1:2"]


def test_the_token_goes_to_the_api_and_to_nothing_else(figma: FigmaBench, neighbour: Site) -> None:
    """Not to the storage, and not to where a redirect leads."""
    figma.run(node_ids=["1:1"])
    assert {asked.headers["x-figma-token"] for asked in figma.figma.asked} == {TOKEN}
    [download] = figma.figma.downloads
    assert TOKEN not in str(download.headers)
    figma.figma.next = [(302, b"", {"Location": neighbour.url("/")})]
    row = figma.run("figma")
    assert row["error"]["class"] == "figma_answer"
    assert neighbour.requests == []


def test_over_tls_as_figma_speaks_it(
    transport: Transport, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the proxy's tunnel, with the certificate checked: one that nobody vouches for gets no token."""
    certificate = self_signed(tmp_path, "localhost")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    with figma_bench(transport, dsn, tmp_path, tls=server) as bench:
        refused = bench.run(node_ids=["1:1"])
        assert (refused["error"]["class"], bench.figma.asked) == ("tls", [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        client._certificates.cache_clear()
        row = bench.run(node_ids=["1:1"])
    client._certificates.cache_clear()
    assert row["status"] == "succeeded", row["error"]
    assert row["result"]["files"] == {"1:1": "1-1.png"}


def self_signed(folder: Path, host: str) -> Path:
    """Make a certificate and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "certificate.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_the_token_is_in_no_row_no_artifact_and_no_event(figma: FigmaBench, dsn: str) -> None:
    """Not even where Figma, or something before it, says it back to us."""
    echo = f"no access for {TOKEN} at https://api.figma.com/?t={TOKEN}"
    figma.run("figma")
    for status in (403, 400, 500):
        figma.figma.next = [None, (status, {"status": status, "err": echo}, {})]
        figma.run("figma", depth=status % 100 + 1)
    figma.figma.next = [None, (502, f"<p>{echo}".encode(), {})]
    figma.run("figma", depth=9)
    headers = {"Retry-After": "9", "X-Figma-Plan-Tier": TOKEN, "X-Figma-Upgrade-Link": f"https://x.example/?{TOKEN}"}
    figma.figma.next = [None, (429, {"status": 429, "err": echo}, headers)]
    figma.run("figma", depth=10)
    job = figma.enqueue("figma", depth=11)
    figma.work(figma.executor(Broken(figma.transport, echo)))
    assert figma.look(job)["error"]["class"] == "LookupError"
    seen = "".join(_everything(dsn)) + repr(figma.events) + repr(figma.executor()._options) + repr(figma.options)
    seen += "".join(path.read_text(errors="replace") for path in figma.folder.rglob("*") if path.is_file())
    assert "Landing" in seen
    assert TOKEN not in seen


class Broken:
    """A transport with a bug that says what it should not."""

    def __init__(self, transport: Any, words: str) -> None:
        self._transport = transport
        self._words = words

    def call(self, function: str, arguments: Any) -> Any:
        """Fail where rates are asked for."""
        if function == "acquire_rate":
            raise LookupError(self._words)
        return self._transport.call(function, arguments)

    def close(self) -> None:
        """Nothing to release."""


def test_a_machine_without_a_token_leaves_figma_to_others() -> None:
    """It lacks a setting; started all the same, it says which."""
    executor = FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN="")))
    assert executor.lacks == "FIGMA_API_TOKEN"
    assert executor.validate("figma", {"file_key": "KEY"}, load_settings()) == {"file_key": "KEY"}
    with pytest.raises(ExecutorUnavailable, match="FIGMA_API_TOKEN is not set"):
        asyncio.run(executor.start())


@pytest.mark.parametrize("token", ["figd_ab cd", "figd_ab\ncd", "figd_äöü"])
def test_a_token_that_cannot_be_one_keeps_the_worker_from_starting(token: str) -> None:
    """Without saying it: an HTTP library's own error would."""
    executor = FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN=token)))
    with pytest.raises(ExecutorUnavailable) as refused:
        asyncio.run(executor.start())
    assert token not in str(refused.value)


def test_blanks_around_a_token_do_not_matter() -> None:
    """A file it was read from ends with a line break."""
    assert (
        FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN=f" {TOKEN}\n")))._options.token
        == TOKEN
    )


def _everything(dsn: str) -> Iterator[str]:
    """Every row of every table."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("select relname from pg_stat_user_tables where schemaname = 'public'").fetchall()
        for (table,) in tables:
            yield json.dumps(connection.execute(f'select to_jsonb(t) from public."{table}" t').fetchall())
