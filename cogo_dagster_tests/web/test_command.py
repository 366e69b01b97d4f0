"""`cogo web` and `cogo stats` as processes, and a server during an outage of its database."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from unittest import mock

import httpx
import pytest

from cogo_dagster.bootstrap import alert_loop
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import PROJECT_ROOT, Settings, load_settings
from cogo_dagster.vault.key_ring import new_key
from cogo_dagster.web import serve as serve_module
from cogo_dagster.web.app import create_app
from cogo_dagster.web.dependencies import web_of_app
from cogo_dagster.web.serve import alerting, listening, serving
from cogo_dagster_tests.alerts.receivers import anything, receiving, until
from cogo_dagster_tests.alerts.steps import fail_job
from cogo_dagster_tests.cli.terminal import Answer, terminal
from cogo_dagster_tests.forks import PROGRAM
from cogo_dagster_tests.servers import private_server
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve


def environment(dsn: str, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command, without the caller's settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "COGO_HOME": str(home), "COGO_DATABASE_URL": dsn} | more


def cogo(dsn: str, home: Path, *words: str, **more: str) -> Answer:
    """Run a command in this process."""
    return terminal(home, dsn, {"HOME": str(home), "COGO_HOME": str(home)} | more).run(*words)


@contextmanager
def running(arguments: list[str], given: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Start a command; kill it at the end of the block."""
    process = subprocess.Popen(
        [PROGRAM, *arguments], cwd=PROJECT_ROOT, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def document_of(process: "subprocess.Popen[str]") -> Json:
    """Return the JSON document that a server prints at start."""
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.communicate()
        text += line
    return json.loads(text)


def test_listening_on_all_addresses_needs_a_token(dsn: str, tmp_path: Path) -> None:
    """Without a token, `--host 0.0.0.0` is rejected with a message that names the setting."""
    done = cogo(dsn, tmp_path, "web", "--host", "0.0.0.0", "--port", "0")
    assert (done.code, done.out) == (2, "")
    assert "QUALITY_NOTIFY_ADMIN_TOKEN" in done.err


def test_any_token_allows_listening_on_all_addresses(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The admin token in the vault, or an access token, is sufficient for the command to get as far as serving."""
    listening_on: list[str] = []
    monkeypatch.setattr(serve_module, "serve", lambda _, listener: listening_on.append(listener.getsockname()[0]))
    key = {"COGO_VAULT_KEYS": new_key()}
    command = ("web", "--host", "0.0.0.0", "--port", "0", "--json")
    places = (("vault", "set", "quality", "notify", "admin_token", TOKEN), ("tokens", "create", "anna"))
    undo = (("vault", "remove", "quality:notify:admin_token"), ("tokens", "revoke", "anna"))
    for words, back in zip(places, undo, strict=True):
        assert cogo(dsn, tmp_path, *words, **key).code == 0
        done = cogo(dsn, tmp_path, *command, **key)
        assert (done.code, done.json["exposed"]) == (0, True)
        assert cogo(dsn, tmp_path, *back, **key).code == 0
    assert cogo(dsn, tmp_path, *command, **key).code == 2
    assert listening_on == ["0.0.0.0"] * 2


def test_the_command_serves_until_it_is_interrupted_and_prints_no_secret(dsn: str, tmp_path: Path) -> None:
    """It prints its address as JSON and ends on SIGINT; no token, cookie or query, valid or not, is in its output."""
    given = environment(dsn, tmp_path, QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN)
    with running(["web", "--port", "0", "--json"], given) as process, httpx.Client() as client:
        document = document_of(process)
        url = document["url"]
        assert document["exposed"] is False
        until_ready(httpx.Client(base_url=url, headers=ADMIN))
        form = {"token": TOKEN, "name": "Anna"}
        answer = httpx.post(f"{url}/dashboard/login", data=form, headers={"origin": url})
        cookie = answer.cookies["cogo_session"]
        for secret in (TOKEN, cookie, "canary-of-a-query"):
            for path in (f"/api/jobs?q={secret}", f"/dashboard/login?ticket={secret}", f"/nowhere/{secret}"):
                for headers in ({"x-admin-token": f"x{secret}"}, {"authorization": f"Bearer {secret}"}):
                    assert client.get(url + path, headers=headers).status_code < 500
        wrong = [client.get(f"{url}/api/jobs", headers={"x-admin-token": f"y{TOKEN}"}).status_code for _ in range(10)]
        assert wrong[-1] == 429
        with socket.create_connection(("127.0.0.1", int(httpx.URL(url).port or 0))) as broken:
            broken.sendall(f"GET /{TOKEN} HTTP/9.9\r\nx-admin-token {TOKEN}\r\n\r\n".encode())
            broken.recv(1_000)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode in (0, 130)
    assert "wrong tokens" in err
    assert [secret for secret in (TOKEN, cookie, "canary-of-a-query") if secret in out + err] == []


def test_a_port_in_use_is_reported(dsn: str, tmp_path: Path) -> None:
    """The command ends with exit code 2 and a message without a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = cogo(dsn, tmp_path, "web", "--port", port)
    assert done.code == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in done.err


def test_stats_equal_the_dashboards_numbers(dsn: str, tmp_path: Path, serve: Serve) -> None:
    """`cogo stats --json` and the API return the same numbers."""
    done = cogo(dsn, tmp_path, "stats", "--json")
    printed = json.loads(done.out)
    with serve() as site:
        reasons = site.get("/api/metrics/queue/reasons")
        assert (printed.pop("reasons"), printed.pop("stranded")) == (reasons["reasons"], reasons["stranded"])
        assert printed == site.get("/api/metrics/queue")


@pytest.mark.timeout(120)
def test_the_server_recovers_from_outages_of_the_database(tmp_path: Path, cluster: Path) -> None:
    """Routes return 503 while the database is unreachable, at start or later, and work again afterwards."""
    with private_server(cluster=cluster) as server:
        server.start()
        dsn = server.dsn()
        settings: Settings = load_settings(
            COGO_DATABASE_URL=dsn, COGO_HOME=str(tmp_path), QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN, METRICS_BASE=""
        )
        server.stop()
        with (
            listening("127.0.0.1", 0) as listener,
            serving(create_app(settings, keep_seconds=0), listener) as url,
            httpx.Client(base_url=url, timeout=60, headers=ADMIN) as client,
        ):
            for path in ("/api/jobs", "/dashboard/local", "/metrics", "/readyz"):
                answer = client.get(path)
                assert answer.status_code == 503, path
                assert "Traceback" not in answer.text
            assert client.get("/healthz").status_code == 200
            server.start()
            assert server.dsn() == dsn
            until_ready(client)
            assert client.get("/dashboard/local").status_code == 200
            server.stop()
            assert client.get("/api/jobs").status_code == 503
            server.start()
            until_ready(client)


def until_ready(client: httpx.Client) -> None:
    """Wait until the server is ready."""
    deadline = time.monotonic() + 30
    while not is_ready(client):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_server_delivers_alerts(dsn: str, queue: Queue, tmp_path: Path) -> None:
    """With WEBHOOK_TYPE set, the server delivers alerts and calls the dead man's switch without reporting errors."""
    fail_job(queue)
    with receiving(anything) as receiver:
        given = load_settings(
            COGO_DATABASE_URL=dsn,
            COGO_HOME=str(tmp_path),
            WEBHOOK_TYPE="http",
            WEBHOOK_URL=receiver.url("/hook"),
            WEBHOOK_ALLOWED_HOSTS=receiver.authority,
            COGO_DEADMAN_URL=receiver.url("/alive"),
        )
        reported: list[str] = []
        app = create_app(given)
        with listening("127.0.0.1", 0) as listener, serving(app, listener), alerting(given, app, reported.append, 0.02):
            until(lambda: {request.path for request in receiver.accepted} == {"/hook", "/alive"})
    assert reported == []
    assert [request.path for request in receiver.accepted].count("/hook") == 1


def test_a_target_without_a_url_is_an_error_at_start(dsn: str, tmp_path: Path) -> None:
    """`cogo web` ends with exit code 2 if the URL of a target is missing."""
    done = cogo(dsn, tmp_path, "web", "--port", "0", WEBHOOK_TYPE="slack")
    assert (done.code, "SLACK_WEBHOOK_URL is not set" in done.err) == (2, True)


def test_an_unreachable_database_is_reported_to_the_targets(tmp_path: Path) -> None:
    """The loop keeps trying, and the targets are notified of the outage once."""
    with receiving(anything) as receiver:
        given = load_settings(
            COGO_DATABASE_URL="postgresql://unknown@127.0.0.1:1/nothing",
            COGO_HOME=str(tmp_path),
            WEBHOOK_TYPE="http",
            WEBHOOK_URL=receiver.url(),
            WEBHOOK_ALLOWED_HOSTS=receiver.authority,
        )
        reported: list[str] = []
        loop = alert_loop(given, lambda: web_of_app(create_app(given)).backend.application.alerts, reported.append)
        with mock.patch("cogo_dagster.alerts.outage.time.time", side_effect=count(1_000_000, 60)):
            loop.run_once()
            loop.run_once()
        assert len(receiver.accepted) == 1
        assert b"The database cannot be reached" in receiver.accepted[0].body
        assert reported[0].startswith("Alerts are not delivered: ")


def is_ready(client: httpx.Client) -> bool:
    """Whether a server is ready."""
    try:
        return client.get("/readyz").status_code == 200
    except httpx.ConnectError:
        return False
