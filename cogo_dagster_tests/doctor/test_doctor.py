"""`cogo doctor`: what is wrong, one sentence each, and what to do about it."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster.doctor import run
from cogo_dagster.doctor.checks.database import check_database, read_facts
from cogo_dagster.doctor.checks.machine import check_disk
from cogo_dagster.doctor.checks.services import check_figma, check_webhooks
from cogo_dagster.doctor.checks.storage import check_storage
from cogo_dagster.doctor.findings import Finding, examine, failed, ok, unused
from cogo_dagster.executors.isolation.machine import Isolation
from cogo_dagster.net.addresses import AllowList
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.supabase.store import SupabaseStore
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import load_settings
from cogo_dagster.vault.key_ring import new_key
from cogo_dagster_tests.cli.terminal import Answer, Terminal, terminal
from cogo_dagster_tests.conftest import Age
from cogo_dagster_tests.doctor.site import Request, site
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import a_worker, add, dead_letters, register, running_job
from cogo_dagster_tests.supabase.server import StandIn

CANARY = "canary-7f3a91d2"
NO_BROWSER = {"BROWSER_REAL_MODE": "false"}


def states(answer: Answer) -> dict[str, str]:
    """Return the state of each check."""
    return {found["check"]: found["state"] for found in answer.json["checks"]}


def finding(answer: Answer, check: str) -> Any:
    """Return what one check found."""
    [found] = [found for found in answer.json["checks"] if found["check"] == check]
    return found


def test_a_healthy_system_is_said_to_be_so(cogo: Terminal, queue: Queue) -> None:
    """Exit code 0, and every check says something."""
    register(queue, a_worker())
    answer = cogo.run("doctor", "--json", NO_SANDBOX="true", COGO_VAULT_KEYS=new_key())
    assert answer.code == 0, answer
    found = states(answer)
    fonts = found.pop("fonts")  # as this machine has them
    assert fonts in ("ok", "warning")
    assert set(found.values()) == {"ok", "unused"}
    for check in (
        "database",
        "clock",
        "pooler",
        "schema",
        "orphaned_jobs",
        "workers",
        "dlq",
        "vault",
        "storage",
        "disk",
    ):
        assert found[check] == "ok", check
    assert found["browser"] == "ok"
    assert found["supabase"] == found["webhooks"] == found["figma"] == found["router_select"] == "unused"
    assert all(one["sentence"] for one in answer.json["checks"])
    assert all(one["advice"] for one in answer.json["checks"] if one["state"] in ("failed", "warning"))


def test_people_read_a_line_for_each_and_what_to_do(cogo: Terminal, queue: Queue) -> None:
    """With an arrow before the advice."""
    add(queue)
    answer = cogo.run("doctor", **NO_BROWSER)
    assert answer.code == 1
    assert "failed   workers" in answer.out
    assert "→ Start one with `cogo worker`." in answer.out


def test_a_database_that_is_away_does_not_hide_the_rest(nowhere: Terminal) -> None:
    """It has failed, and the machine is looked at all the same."""
    answer = nowhere.run("doctor", "--json", **NO_BROWSER)
    assert (answer.code, states(answer)["database"], states(answer)["disk"]) == (1, "failed", "ok")


def test_a_database_without_our_schema_is_told_apart(tmp_path: Path, empty_dsn: str) -> None:
    """With the command that brings it."""
    found = finding(terminal(tmp_path, empty_dsn, {}).run("doctor", "--json", **NO_BROWSER), "schema")
    assert (found["state"], "cogo db migrate" in found["advice"]) == ("failed", True)


def test_jobs_that_lost_their_worker_are_found(cogo: Terminal, queue: Queue, age: Age) -> None:
    """Once nobody recovered them for five minutes."""
    job = running_job(queue)
    age(job, 200)
    assert states(cogo.run("doctor", "--json", **NO_BROWSER))["orphaned_jobs"] == "ok"
    age(job, 3_600)
    found = finding(cogo.run("doctor", "--json", **NO_BROWSER), "orphaned_jobs")
    assert (found["state"], "cogo recover leases" in found["advice"]) == ("failed", True)


def test_what_waits_for_people_is_said(cogo: Terminal, queue: Queue) -> None:
    """Dead letters and pauses."""
    failed_job(queue)
    assert dead_letters(queue)
    queue.pause("type", "browser", actor="me")
    found = states(cogo.run("doctor", "--json", **NO_BROWSER))
    assert (found["dlq"], found["paused"]) == ("warning", "warning")


def test_secrets_that_cannot_be_read_here_are_found(cogo: Terminal) -> None:
    """No key is no trouble while there is no secret; then it is."""
    assert states(cogo.run("doctor", "--json", **NO_BROWSER))["vault"] == "unused"
    key = new_key()
    cogo.ok("vault", "set", "a", "b", "c", CANARY, COGO_VAULT_KEYS=key)
    for keys, state in (("", "failed"), (new_key(), "warning"), (f"{new_key()},{key}", "ok")):
        assert states(cogo.run("doctor", "--json", COGO_VAULT_KEYS=keys, **NO_BROWSER))["vault"] == state


def test_the_admin_token_is_found_wherever_it_is(cogo: Terminal) -> None:
    """In the environment or in the vault; two that differ, a short one and none at all are told apart."""
    key, good, other = new_key(), "a" * 64, "b" * 64

    def found(token: str = "") -> Any:
        answer = cogo.run("doctor", "--json", QUALITY_NOTIFY_ADMIN_TOKEN=token, COGO_VAULT_KEYS=key, **NO_BROWSER)
        return finding(answer, "admin_token")

    assert (found()["state"], "nobody can log in" in found()["sentence"]) == ("unused", True)
    assert (found("short")["state"], found(good)["state"]) == ("warning", "ok")
    assert "QUALITY_NOTIFY_ADMIN_TOKEN" in found(good)["sentence"]
    cogo.ok("vault", "set", "quality", "notify", "admin_token", good, COGO_VAULT_KEYS=key)
    assert (found()["state"], "the vault's quality:notify:admin_token" in found()["sentence"]) == ("ok", True)
    assert found(good)["state"] == "ok"
    assert (found(other)["state"], "differ" in found(other)["sentence"]) == ("warning", True)
    cogo.ok("vault", "remove", "quality", "notify", "admin_token", COGO_VAULT_KEYS=key)
    cogo.ok("tokens", "create", "anna", "--role", "admin")
    assert (found()["state"], "1 named" in found()["sentence"]) == ("ok", True)


def test_a_browser_that_does_not_start_is_found(cogo: Terminal) -> None:
    """Not there, or as root in its sandbox."""
    found = finding(cogo.run("doctor", "--json", NO_SANDBOX="true", BROWSER_CHANNEL="/nowhere/chromium"), "browser")
    assert (found["state"], "/nowhere/chromium" in found["sentence"]) == ("failed", True)
    if os.geteuid() == 0:
        found = finding(cogo.run("doctor", "--json"), "browser")
        assert (found["state"], "NO_SANDBOX" in found["sentence"]) == ("failed", True)


@pytest.mark.parametrize(("ahead_seconds", "state"), [(0, "ok"), (30, "warning"), (-30, "warning"), (400, "failed")])
def test_clocks_that_are_apart_are_found(transport: Transport, ahead_seconds: float, state: str) -> None:
    """Ours against the database's, whichever is ahead."""
    facts = read_facts(transport, [], lambda: datetime.now(UTC) + timedelta(seconds=ahead_seconds))
    [clock] = [found for found in check_database(facts, where="here", pooled=False) if found.check == "clock"]
    assert clock.state == state
    assert ("ahead of" in clock.sentence) is (ahead_seconds > 0)


def test_a_pooler_is_a_warning(transport: Transport) -> None:
    """With the address to use instead."""
    facts = read_facts(transport, [])
    [pooler] = [found for found in check_database(facts, where="here", pooled=True) if found.check == "pooler"]
    assert (pooler.state, "port 5432" in str(pooler.advice)) == ("warning", True)


@pytest.mark.parametrize(("free_gib", "state"), [(0.5, "failed"), (3, "warning"), (50, "ok")])
def test_a_disk_that_fills_up_is_found(tmp_path: Path, free_gib: float, state: str) -> None:
    """Also for a folder that is not there yet."""
    [found] = check_disk(tmp_path / "a" / "b", lambda place: int(free_gib * 1024**3) if place == tmp_path else 0)
    assert found.state == state


def test_a_store_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    """A file stands where its folder should be."""
    (tmp_path / "store").write_text("in the way")
    [found] = check_storage(FolderStore(tmp_path / "store"))
    assert (found.check, found.state) == ("storage", "failed")


def test_a_store_that_two_databases_use_is_found(queue: Queue, tmp_path: Path) -> None:
    """Nothing is deleted from it, and the advice is the command that decides."""
    store = FolderStore(tmp_path / "store")
    store.bind(queue.transport)
    assert [found.state for found in check_storage(store)] == ["ok"] * 3
    marker = tmp_path / "store" / "cogo" / "deployment"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"marker": str(uuid4())}))
    found = {found.check: found for found in check_storage(store)}["artifact_owner"]
    assert (found.state, "--adopt-store" in str(found.advice)) == ("failed", True)
    store.adopt()
    assert [found.state for found in check_storage(store)] == ["ok"] * 3


def test_unclaimed_files_of_an_earlier_release_are_found(queue: Queue, tmp_path: Path) -> None:
    """Not all of them are known to the database, so nothing deletes them until somebody decides."""
    stray = tmp_path / "store" / "reports" / f"{'a' * 64}.html"
    stray.parent.mkdir(parents=True)
    stray.touch()
    store = FolderStore(tmp_path / "store")
    store.bind(queue.transport)
    found = {found.check: found for found in check_storage(store)}["artifact_owner"]
    assert (found.state, "--adopt-store" in str(found.advice)) == ("warning", True)


@pytest.mark.parametrize("fault", ["public", "missing"])
def test_a_bucket_that_is_public_or_missing_is_found(stand_in: StandIn, fault: str) -> None:
    """With what to do about it; a typo does not make a bucket."""
    stand_in.storage.buckets["artifacts"].public = True
    store = SupabaseStore(stand_in.project(), "artifacts" if fault == "public" else "artifcts")
    [found] = check_storage(store)
    store.close()
    assert (found.check, found.state) == ("storage", "failed")
    assert {"public": "make it private", "missing": "artifcts does not exist"}[fault] in found.sentence
    assert set(stand_in.storage.buckets) == {"artifacts"}


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, b"{}", "ok"),
        (403, b'{"status":403,"err":"Invalid scope(s): file_content:read."}', "ok"),
        (403, b'{"status":403,"err":"Invalid token"}', "failed"),
        (500, b"", "warning"),
    ],
)
def test_figma_is_asked_whether_it_knows_the_token(status: int, body: bytes, state: str) -> None:
    """A scope that is missing for this question does not matter."""
    with site(lambda _: (status, {}, body)) as there:
        settings = load_settings(None, FIGMA_API_TOKEN=CANARY)
        [found] = check_figma(settings, there.url, AllowList.of([there.host]))
        assert there.requests[0].headers["x-figma-token"] == CANARY
    assert found.state == state


def webhooks(find_secret: Callable[[str], str | None] = lambda _: None, **given: str) -> list[Finding]:
    """Look at the targets of alerts."""
    return list(check_webhooks(load_settings(None, **given), find_secret))


def test_targets_are_reached_and_nothing_is_sent() -> None:
    """The host's front page is asked; the address itself, which is the secret, is not."""
    with site(lambda _: (404, {}, b"")) as there:
        given = {"WEBHOOK_URL": f"{there.url}/{CANARY}", "SLACK_WEBHOOK_URL": f"{there.url}/{CANARY}"}
        found = webhooks(
            lambda _: f"{there.url}/{CANARY}",
            WEBHOOK_TYPE="http,slack,googlechat",
            WEBHOOK_ALLOWED_HOSTS=there.host,
            **given,
        )
        asked: list[Request] = there.requests
        assert {(request.method, request.path) for request in asked} == {("GET", "/")}
    assert [one.state for one in found] == ["ok"] * 3
    assert CANARY not in str(found)


def test_targets_that_cannot_work_are_found() -> None:
    """Not configured, private, no address, nothing in the vault."""

    def away(reference: str) -> str | None:
        raise LookupError(f"{reference} is away")

    [missing] = webhooks(WEBHOOK_TYPE="slack")
    [private] = webhooks(WEBHOOK_TYPE="http", WEBHOOK_URL="http://127.0.0.1:9/")
    [wrong] = webhooks(WEBHOOK_TYPE="http", WEBHOOK_URL=CANARY)
    [unkept] = webhooks(WEBHOOK_TYPE="googlechat")
    [locked] = webhooks(away, WEBHOOK_TYPE="googlechat")
    for found, words in (
        (missing, "SLACK_WEBHOOK_URL is not set"),
        (private, "WEBHOOK_ALLOWED_HOSTS"),
        (wrong, "is no address"),
        (unkept, "there is no googlechat:notify:webhook_url"),
        (locked, "is away"),
    ):
        assert found.state == "failed"
        assert words in found.sentence
        assert CANARY not in found.sentence


def test_a_check_that_breaks_does_not_hide_the_others_nor_tell_secrets() -> None:
    """It counts as failed."""

    def broken() -> list[Finding]:
        raise RuntimeError(CANARY)

    one, two, three = examine(
        [("one", lambda: [ok("one", "Fine.")]), ("two", broken), ("three", lambda: [failed("three", CANARY, CANARY)])],
        [CANARY],
    )
    assert (one.state, two.state, three.state) == ("ok", "failed", "failed")
    assert "RuntimeError" in two.sentence
    assert CANARY not in f"{two}{three}"
    assert unused("x", "y").advice is None


GATE = {"COGO_GATE_COMMANDS": '{"shop": {"checkout": "/srv/shop", "test": "true"}}'}


@pytest.mark.parametrize(
    ("ways", "settings", "state", "words"),
    [
        (Isolation(root=True, landlock=7, namespaces=True), GATE, "ok", "a separate account, namespaces and Land"),
        (Isolation(root=False, landlock=2, namespaces=False), GATE, "warning", "can send signals"),
        (Isolation(root=False, landlock=0, namespaces=False), GATE, "failed", "left to other workers"),
        (Isolation(root=False, landlock=7, namespaces=True), {}, "unused", "no commit's code is run"),
        (
            Isolation(root=False, landlock=0, namespaces=False),
            GATE | {"COGO_GATE_UNISOLATED": "true"},
            "warning",
            "can read its secrets",
        ),
    ],
)
def test_the_isolation_of_gate_commands_is_said(
    *,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ways: Isolation,
    settings: dict[str, str],
    state: str,
    words: str,
) -> None:
    """What this machine offers, and what it leaves open."""
    monkeypatch.setattr(run, "isolation", lambda: ways)
    given = load_settings(None, COGO_HOME=str(tmp_path), COGO_DATABASE_URL="postgresql://127.0.0.1:9/x", **settings)
    [found] = [found for found in run.checkup(given) if found.check == "gate_isolation"]
    assert (found.state, words in found.sentence) == (state, True)
