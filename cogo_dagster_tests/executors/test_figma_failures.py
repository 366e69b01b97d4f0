"""Errors of Figma and the network, and protection of the token."""

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

from cogo_dagster.certificates import trusted_authorities
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.figma.executor import FigmaExecutor
from cogo_dagster.queue.executor import ExecutorContext
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.executors.figma_bench import TOKEN, FigmaBench, figma_bench
from cogo_dagster_tests.executors.figma_server import Response
from cogo_dagster_tests.executors.site import Site


@pytest.mark.parametrize(
    ("answer", "status", "error_class", "expected"),
    [
        ((403, {"status": 403, "err": "Invalid token"}, {}), "failed", "figma_token", "set FIGMA_API_TOKEN to a valid"),
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
        ((403, {"status": 403, "err": "File not exportable"}, {}), "failed", "figma_forbidden", "owner has restricted"),
        ((403, {"status": 403, "err": "Token expired"}, {}), "failed", "figma_token", "set FIGMA_API_TOKEN to a valid"),
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
            "make a smaller request",
        ),
        (
            (403, {"status": 403, "err": "Not allowed"}, {}),
            "failed",
            "figma_forbidden",
            "access to the file",
        ),
        ((404, {"status": 404, "err": "Not found"}, {}), "failed", "figma_not_found", "check the file key"),
        ((400, {"status": 400, "err": "Request too large"}, {}), "failed", "figma_request", "make a smaller request"),
        ((500, {"status": 500, "err": "Internal error"}, {}), "queued", "figma_server", "(Internal error)"),
        ((403, b'{"error": true, "status": 403, "message": "No seat"}', {}), "failed", "figma_forbidden", "(No seat)"),
        ((502, b"<html><h1>Bad gateway</h1></html>", {}), "queued", "figma_server", "(Bad gateway)"),
        ((503, b"", {}), "queued", "figma_server", "(no error message)"),
        ((200, b"<html>Sign in to the hotel</html>", {}), "queued", "figma_answer", "not a JSON object"),
        ((200, b'{"name": "no document"}', {}), "queued", "figma_answer", "no document in the response"),
        ((200, b"[" * 200_000, {}), "queued", "figma_answer", "not a JSON object"),
        ((418, b"{}", {}), "queued", "figma_answer", "(no error message)"),
    ],
)
def test_every_error_has_a_class_and_a_message(
    figma: FigmaBench, answer: Response, status: str, error_class: str, expected: str
) -> None:
    """Errors in both of Figma's formats, and of a proxy, have an error class, a message and a retry policy."""
    figma.figma.next = [None, answer]
    row = figma.run("figma")
    assert (row["status"], row["attempts"], row["error"]["class"]) == (status, 1, error_class)
    assert row["error"]["message"].startswith(f"Export of Figma file KEY: Figma responded with {answer[0]} (")
    assert expected in row["error"]["message"]


def test_a_missing_file_prevents_expensive_calls(figma: FigmaBench) -> None:
    """If the file does not exist, only its metadata is requested."""
    row = figma.run(file_key="OTHER", node_ids=["1:1"])
    assert (row["status"], row["error"]["class"]) == ("failed", "figma_not_found")
    assert figma.figma.paths() == ["/v1/files/OTHER/meta"]


def test_an_unreachable_api_is_retryable(figma: FigmaBench) -> None:
    """An unreachable API is a retryable connection error."""
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(api="http://127.0.0.1:9", allowed_hosts=("127.0.0.1:9",)))
    error = figma.look(job)["error"]
    assert (error["class"], error["retryable"]) == ("connection", True)
    assert error["message"].startswith("request /v1/files/KEY/meta from Figma: 127.0.0.1:9 could not be reached")


def test_an_api_with_a_private_address_is_blocked(figma: FigmaBench) -> None:
    """A private address of the API is blocked, and no setting allows it: the token would be sent there."""
    job = figma.enqueue(node_ids=["1:1"])
    figma.work(figma.executor(allowed_hosts=()))
    assert figma.look(job)["error"]["class"] == "blocked_address"
    assert figma.figma.requests == []


def test_the_settings_cannot_send_the_token_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment variable changes the API or allows private addresses."""
    for name in ("FIGMA_API_URL", "FIGMA_BASE_URL", "BROWSER_ALLOWED_HOSTS", "WEBHOOK_ALLOWED_HOSTS", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1" if "HOSTS" not in name else "127.0.0.1")
    options = FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN=TOKEN)))._options
    assert (options.api, options.allowed_hosts) == ("https://api.figma.com", ())


def test_a_link_to_the_private_network_is_not_followed(figma: FigmaBench, neighbour: Site) -> None:
    """A link to a private address is blocked."""
    figma.figma.elsewhere = {"1:2": neighbour.url("/secret.png")}
    row = figma.run(node_ids=["1:1", "1:2"])
    assert row["status"] == "succeeded", row["error"]
    assert row["result"]["failed"]["1:2"] == "fetch a rendered image from 127.0.0.1: 127.0.0.1 is a private address"
    assert neighbour.requests == []


@pytest.mark.parametrize("link", ["file:///etc/passwd", "ftp://127.0.0.1/x.png", "https://127.0.0.1/x.png", "urn:x"])
def test_a_link_of_another_scheme_is_not_followed(figma: FigmaBench, link: str) -> None:
    """A link must have the scheme of the API."""
    figma.figma.elsewhere = {"1:2": link}
    row = figma.run(node_ids=["1:1", "1:2"])
    assert row["result"]["failed"]["1:2"] == "fetch a rendered image: the scheme of Figma's link is not https"


def test_a_download_in_another_format_is_retryable(figma: FigmaBench) -> None:
    """A download in another format is a retryable failure."""
    figma.figma.nodes["1:2"] = "x"
    figma.figma.elsewhere = {"1:2": f"{figma.figma.url}/renders/1:2.svg"}
    row = figma.run(node_ids=["1:1", "1:2"])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("queued", 1, "figma_answer")
    assert "The file for 1:2 is not in the format png." in row["error"]["message"]


def test_the_last_attempt_succeeds_with_the_exported_nodes(figma: FigmaBench) -> None:
    """The last attempt succeeds with the nodes that were exported."""
    figma.figma.expired.update({"1:2": 1_000})
    job = figma.enqueue(node_ids=["1:1", "1:2"])
    for _ in range(5):
        figma.work()
        figma.make_due()
    row = figma.look(job)
    assert (row["status"], row["attempts"], row["result"]["files"]) == ("succeeded", 5, {"1:1": "1-1.png"})
    assert "has expired" in row["result"]["failed"]["1:2"]


def test_the_token_goes_to_the_api_and_to_nothing_else(figma: FigmaBench, neighbour: Site) -> None:
    """The token is not sent to the storage nor after a redirect."""
    figma.run(node_ids=["1:1"])
    assert {request.headers["x-figma-token"] for request in figma.figma.requests} == {TOKEN}
    [download] = figma.figma.downloads
    assert TOKEN not in str(download.headers)
    figma.figma.next = [(302, b"", {"Location": neighbour.url("/")})]
    row = figma.run("figma")
    assert row["error"]["class"] == "figma_answer"
    assert neighbour.requests == []


def test_certificates_are_verified(
    transport: Transport, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS the server's certificate is verified, and an untrusted server does not get the token."""
    certificate = self_signed(tmp_path, "localhost")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    with figma_bench(transport, dsn, tmp_path, tls=server) as bench:
        error = bench.run(node_ids=["1:1"])
        assert (error["error"]["class"], bench.figma.requests) == ("tls", [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted_authorities.cache_clear()
        row = bench.run(node_ids=["1:1"])
    trusted_authorities.cache_clear()
    assert row["status"] == "succeeded", row["error"]
    assert row["result"]["files"] == {"1:1": "1-1.png"}


def self_signed(folder: Path, host: str) -> Path:
    """Create a self-signed certificate with its key, in one file."""
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
    """The token is hidden even if Figma or a proxy returns it in an error."""
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
    """A transport that raises an error with a secret in its message."""

    def __init__(self, transport: Any, message: str) -> None:
        self._transport = transport
        self._message = message

    def call(self, function: str, arguments: Any) -> Any:
        """Fail for `acquire_rate`."""
        if function == "acquire_rate":
            raise LookupError(self._message)
        return self._transport.call(function, arguments)

    def close(self) -> None:
        """Do nothing."""


def test_a_machine_without_a_token_leaves_figma_to_others() -> None:
    """Without a token the executor names the missing setting, and raises when it is started."""
    executor = FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN="")))
    assert executor.lacks == "FIGMA_API_TOKEN"
    assert executor.validate("figma", {"file_key": "KEY"}, load_settings()) == {"file_key": "KEY"}
    with pytest.raises(ExecutorUnavailable, match="FIGMA_API_TOKEN is not set"):
        asyncio.run(executor.start())


@pytest.mark.parametrize("token", ["figd_ab cd", "figd_ab\ncd", "figd_äöü"])
def test_a_malformed_token_prevents_the_start(token: str) -> None:
    """A malformed token prevents the start, and the message does not contain it."""
    executor = FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN=token)))
    with pytest.raises(ExecutorUnavailable) as error:
        asyncio.run(executor.start())
    assert token not in str(error.value)


def test_whitespace_around_a_token_is_ignored() -> None:
    """Whitespace around the token is removed."""
    assert (
        FigmaExecutor.build(ExecutorContext.offline(load_settings(FIGMA_API_TOKEN=f" {TOKEN}\n")))._options.token
        == TOKEN
    )


def _everything(dsn: str) -> Iterator[str]:
    """Yield every row of every table."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("select relname from pg_stat_user_tables where schemaname = 'public'").fetchall()
        for (table,) in tables:
            yield json.dumps(connection.execute(f'select to_jsonb(t) from public."{table}" t').fetchall())
