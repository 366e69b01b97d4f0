"""`cogo web` and `cogo stats` as a user starts them, and a server whose database goes and comes back."""

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
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import PROJECT_ROOT, Settings, load_settings
from cogo_dagster.vault.key_ring import new_key
from cogo_dagster.web.app import create_app
from cogo_dagster.web.dependencies import web_of_app
from cogo_dagster.web.serve import alerting, listening, serving
from cogo_dagster_tests.alerts.receivers import anything, receiving, until
from cogo_dagster_tests.alerts.steps import fail_job
from cogo_dagster_tests.cli.terminal import PROGRAM, Answer, terminal
from cogo_dagster_tests.servers import private_server
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve


def environment(dsn: str, home: Path, **more: str) -> dict[str, str]:
    """Return what the command gets, and nothing of the caller's settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "COGO_HOME": str(home), "COGO_DATABASE_URL": dsn} | more


def cogo(dsn: str, home: Path, *words: str, **more: str) -> Answer:
    """Run a command to its end, in this process."""
    return terminal(home, dsn, {"HOME": str(home), "COGO_HOME": str(home)} | more).run(*words)


@contextmanager
def running(words: list[str], given: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Start a command; at the end it is gone."""
    process = subprocess.Popen(
        [PROGRAM, *words], cwd=PROJECT_ROOT, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def document_of(process: "subprocess.Popen[str]") -> Json:
    """Return the document that a server prints when it listens."""
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.communicate()
        text += line
    return json.loads(text)


def test_the_command_serves_until_it_is_interrupted(dsn: str, tmp_path: Path) -> None:
    """It prints its address as JSON, answers there, and Ctrl-C ends it."""
    with running(["web", "--port", "0", "--json"], environment(dsn, tmp_path)) as process:
        url = document_of(process)["url"]
        until_ready(httpx.Client(base_url=url))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)


def test_others_are_not_let_in_without_a_token(dsn: str, tmp_path: Path) -> None:
    """It refuses to listen beyond this machine, and says what to set."""
    done = cogo(dsn, tmp_path, "web", "--host", "0.0.0.0", "--port", "0")
    assert (done.code, done.out) == (2, "")
    assert "QUALITY_NOTIFY_ADMIN_TOKEN" in done.err


def test_a_token_anywhere_lets_it_listen_for_others(dsn: str, tmp_path: Path) -> None:
    """The vault's, or a named one: as good as the environment's."""
    key = {"COGO_VAULT_KEYS": new_key()}
    places = (("vault", "set", "quality", "notify", "admin_token", TOKEN), ("tokens", "create", "anna"))
    undo = (("vault", "remove", "quality:notify:admin_token"), ("tokens", "revoke", "anna"))
    for words, back in zip(places, undo, strict=True):
        assert cogo(dsn, tmp_path, *words, **key).code == 0
        with running(
            ["web", "--host", "0.0.0.0", "--port", "0", "--json"], environment(dsn, tmp_path, **key)
        ) as process:
            assert document_of(process)["exposed"] is True
        assert cogo(dsn, tmp_path, *back, **key).code == 0
    assert cogo(dsn, tmp_path, "web", "--host", "0.0.0.0", "--port", "0", **key).code == 2


def test_the_servers_output_has_no_secret(dsn: str, tmp_path: Path) -> None:
    """Whatever was sent, right or wrong, well formed or not: no token, cookie or query is in what it writes."""
    given = environment(dsn, tmp_path, QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN)
    with running(["web", "--port", "0", "--json"], given) as process:
        url = document_of(process)["url"]
        until_ready(httpx.Client(base_url=url, headers=ADMIN))
        form = {"token": TOKEN, "name": "Anna"}
        answer = httpx.post(f"{url}/dashboard/login", data=form, headers={"origin": url})
        cookie = answer.cookies["cogo_session"]
        for secret in (TOKEN, cookie, "canary-of-a-query"):
            for path in (f"/api/jobs?q={secret}", f"/dashboard/login?ticket={secret}", f"/nowhere/{secret}"):
                for headers in ({"x-admin-token": f"x{secret}"}, {"authorization": f"Bearer {secret}"}):
                    assert httpx.get(url + path, headers=headers).status_code < 500
        wrong = [httpx.get(f"{url}/api/jobs", headers={"x-admin-token": f"y{TOKEN}"}).status_code for _ in range(10)]
        assert wrong[-1] == 429
        with socket.create_connection(("127.0.0.1", int(httpx.URL(url).port or 0))) as broken:
            broken.sendall(f"GET /{TOKEN} HTTP/9.9\r\nx-admin-token {TOKEN}\r\n\r\n".encode())
            broken.recv(1_000)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert "wrong tokens" in err
    assert [secret for secret in (TOKEN, cookie, "canary-of-a-query") if secret in out + err] == []


def test_a_port_that_is_taken_is_a_sentence(dsn: str, tmp_path: Path) -> None:
    """No traceback, exit code 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = cogo(dsn, tmp_path, "web", "--port", port)
    assert done.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.err


def test_stats_are_the_dashboards_numbers(dsn: str, tmp_path: Path, serve: Serve) -> None:
    """The same ones."""
    done = cogo(dsn, tmp_path, "stats", "--json")
    said = json.loads(done.out)
    with serve() as site:
        assert {name: said[name] for name in said if name != "queued"} == site.get("/api/metrics/queue")


@pytest.mark.timeout(120)
def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    """503 and a sentence while it is away, also when it is away at the start; then everything works again."""
    with private_server() as server:
        server.start()
        dsn = server.dsn()
        migrate(dsn)
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
    """Wait for the server to listen and to find its database."""
    deadline = time.monotonic() + 30
    while not is_ready(client):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_server_delivers_alerts(dsn: str, queue: Queue, tmp_path: Path) -> None:
    """With WEBHOOK_TYPE set: it needs no worker and no Dagster, and says what is wrong without ending."""
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
        said: list[str] = []
        app = create_app(given)
        with listening("127.0.0.1", 0) as listener, serving(app, listener), alerting(given, app, said.append, 0.02):
            until(lambda: {request.path for request in receiver.accepted} == {"/hook", "/alive"})
    assert said == []
    assert [request.path for request in receiver.accepted].count("/hook") == 1


def test_a_target_without_its_address_is_an_error_at_the_start(dsn: str, tmp_path: Path) -> None:
    """And not at the first alert."""
    done = cogo(dsn, tmp_path, "web", "--port", "0", WEBHOOK_TYPE="slack")
    assert (done.code, "SLACK_WEBHOOK_URL is not set" in done.err) == (2, True)


def test_a_database_that_is_away_is_told_past_it(tmp_path: Path) -> None:
    """The server starts, keeps trying, and the targets hear of the outage."""
    with receiving(anything) as receiver:
        given = load_settings(
            COGO_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
            COGO_HOME=str(tmp_path),
            WEBHOOK_TYPE="http",
            WEBHOOK_URL=receiver.url(),
            WEBHOOK_ALLOWED_HOSTS=receiver.authority,
        )
        said: list[str] = []
        loop = alert_loop(given, lambda: web_of_app(create_app(given)).backend.application.alerts, said.append)
        with mock.patch("cogo_dagster.alerts.outage.time.time", side_effect=count(1_000_000, 60)):
            loop.once()
            loop.once()
        assert len(receiver.accepted) == 1
        assert b"The database cannot be reached" in receiver.accepted[0].body
        assert said[0].startswith("Alerts are not delivered: ")


def is_ready(client: httpx.Client) -> bool:
    """Whether a server listens and has its database."""
    try:
        return client.get("/readyz").status_code == 200
    except httpx.ConnectError:
        return False
