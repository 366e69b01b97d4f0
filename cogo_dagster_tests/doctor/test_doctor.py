"""`cogo doctor`: findings and their advice."""

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
from cogo_dagster.doctor.checks.storage import check_recent_artifact, check_storage
from cogo_dagster.doctor.findings import Finding, failed, ok, run_checks, unused
from cogo_dagster.executors.isolation.machine import Isolation
from cogo_dagster.net.addresses import AllowList
from cogo_dagster.queue.artifacts import FolderStore, upload_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster.queue.supabase.store import SupabaseStore
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import load_settings
from cogo_dagster.vault.key_ring import new_key
from cogo_dagster_tests.cli.terminal import Answer, Terminal, terminal
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.doctor.site import Request, site
from cogo_dagster_tests.held import held, report_at_once
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import a_worker, add, dead_letters, register, running_job, settle
from cogo_dagster_tests.supabase.server import StandIn

CANARY = "canary-7f3a91d2"
NO_BROWSER = {"BROWSER_REAL_MODE": "false"}


def states(answer: Answer) -> dict[str, str]:
    """Return the state of each check."""
    return {found["check"]: found["state"] for found in answer.json["checks"]}


def finding(answer: Answer, check: str) -> Any:
    """Return the finding of one check."""
    [found] = [found for found in answer.json["checks"] if found["check"] == check]
    return found


def test_a_healthy_system(cogo: Terminal, queue: Queue) -> None:
    """The exit code is 0, and every finding has a message."""
    register(queue, a_worker())
    answer = cogo.run("doctor", "--json", NO_SANDBOX="true", COGO_VAULT_KEYS=new_key())
    assert answer.code == 0, answer
    found = states(answer)
    fonts = found.pop("fonts")  # depends on this machine
    assert fonts in ("ok", "warning")
    assert set(found.values()) == {"ok", "unused"}
    for check in (
        "database",
        "clock",
        "pooler",
        "snapshot",
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


def test_output_has_a_line_per_check_and_advice(cogo: Terminal, queue: Queue) -> None:
    """Advice is printed after an arrow."""
    add(queue)
    answer = cogo.run("doctor", **NO_BROWSER)
    assert answer.code == 1
    assert "failed   workers" in answer.out
    assert "→ Start one with `cogo worker`." in answer.out


def test_an_unreachable_database_does_not_hide_other_checks(nowhere: Terminal) -> None:
    """The database check fails, and the machine is checked nevertheless."""
    answer = nowhere.run("doctor", "--json", **NO_BROWSER)
    assert (answer.code, states(answer)["database"], states(answer)["disk"]) == (1, "failed", "ok")


def test_a_database_without_the_schema_is_reported(tmp_path: Path, empty_dsn: str) -> None:
    """The advice names the command that migrates it."""
    found = finding(terminal(tmp_path, empty_dsn, {}).run("doctor", "--json", **NO_BROWSER), "schema")
    assert (found["state"], "cogo db migrate" in found["advice"]) == ("failed", True)


def test_jobs_with_expired_leases_are_reported(cogo: Terminal, queue: Queue, age: Age) -> None:
    """They are reported if they have not been recovered for five minutes."""
    job = running_job(queue)
    age(job, 200)
    assert states(cogo.run("doctor", "--json", **NO_BROWSER))["orphaned_jobs"] == "ok"
    age(job, 3_600)
    found = finding(cogo.run("doctor", "--json", **NO_BROWSER), "orphaned_jobs")
    assert (found["state"], "cogo recover leases" in found["advice"]) == ("failed", True)


def test_a_held_snapshot_is_a_warning(cogo: Terminal, dsn: str, owner: Owner) -> None:
    """The finding names the session, and the advice ends it."""
    report_at_once(owner)
    with held(dsn) as pid:
        found = finding(cogo.run("doctor", "--json", **NO_BROWSER), "snapshot")
    assert found["state"] == "warning"
    assert f"pid {pid} (application 'report of sales')" in found["sentence"]
    assert f"pg_terminate_backend({pid})" in found["advice"]


def test_dead_lettered_jobs_and_pauses_are_warnings(cogo: Terminal, queue: Queue) -> None:
    """Both need an operator."""
    failed_job(queue)
    assert dead_letters(queue)
    queue.pause("type", "browser", actor="me")
    found = states(cogo.run("doctor", "--json", **NO_BROWSER))
    assert (found["dlq"], found["paused"]) == ("warning", "warning")


def test_unreadable_secrets_are_reported(cogo: Terminal) -> None:
    """A missing key is reported only if there are secrets."""
    assert states(cogo.run("doctor", "--json", **NO_BROWSER))["vault"] == "unused"
    key = new_key()
    cogo.ok("vault", "set", "a", "b", "c", CANARY, COGO_VAULT_KEYS=key)
    for keys, state in (("", "failed"), (new_key(), "warning"), (f"{new_key()},{key}", "ok")):
        assert states(cogo.run("doctor", "--json", COGO_VAULT_KEYS=keys, **NO_BROWSER))["vault"] == state


def test_the_admin_token_is_checked(cogo: Terminal) -> None:
    """The token is read from environment and vault; different, short and missing ones are distinguished."""
    key, good, other = new_key(), "a" * 64, "b" * 64

    def found(token: str = "") -> Any:
        answer = cogo.run("doctor", "--json", QUALITY_NOTIFY_ADMIN_TOKEN=token, COGO_VAULT_KEYS=key, **NO_BROWSER)
        return finding(answer, "admin_token")

    assert (found()["state"], "login to the dashboard is not possible" in found()["sentence"]) == ("unused", True)
    assert (found("short")["state"], found(good)["state"]) == ("warning", "ok")
    assert "QUALITY_NOTIFY_ADMIN_TOKEN" in found(good)["sentence"]
    cogo.ok("vault", "set", "quality", "notify", "admin_token", good, COGO_VAULT_KEYS=key)
    assert (found()["state"], "quality:notify:admin_token in the vault" in found()["sentence"]) == ("ok", True)
    assert found(good)["state"] == "ok"
    assert (found(other)["state"], "differ" in found(other)["sentence"]) == ("warning", True)
    cogo.ok("vault", "remove", "quality", "notify", "admin_token", COGO_VAULT_KEYS=key)
    cogo.ok("tokens", "create", "anna", "--role", "admin")
    assert (found()["state"], "named tokens: 1" in found()["sentence"]) == ("ok", True)


def test_a_browser_that_does_not_start_is_reported(cogo: Terminal) -> None:
    """It is not installed, or cannot use its sandbox as root."""
    found = finding(cogo.run("doctor", "--json", NO_SANDBOX="true", BROWSER_CHANNEL="/nowhere/chromium"), "browser")
    assert (found["state"], "/nowhere/chromium" in found["sentence"]) == ("failed", True)
    if os.geteuid() == 0:
        found = finding(cogo.run("doctor", "--json"), "browser")
        assert (found["state"], "NO_SANDBOX" in found["sentence"]) == ("failed", True)


@pytest.mark.parametrize(("ahead_seconds", "state"), [(0, "ok"), (30, "warning"), (-30, "warning"), (400, "failed")])
def test_clock_skew_is_reported(transport: Transport, ahead_seconds: float, state: str) -> None:
    """Both directions of the skew are reported."""
    facts = read_facts(transport, [], lambda: datetime.now(UTC) + timedelta(seconds=ahead_seconds))
    [clock] = [found for found in check_database(facts, where="here", pooled=False) if found.check == "clock"]
    assert clock.state == state
    assert ("ahead of" in clock.sentence) is (ahead_seconds > 0)


def test_a_pooler_is_a_warning(transport: Transport) -> None:
    """The advice names the address to use instead."""
    facts = read_facts(transport, [])
    [pooler] = [found for found in check_database(facts, where="here", pooled=True) if found.check == "pooler"]
    assert (pooler.state, "port 5432" in str(pooler.advice)) == ("warning", True)


@pytest.mark.parametrize(("free_gib", "state"), [(0.5, "failed"), (3, "warning"), (50, "ok")])
def test_low_disk_space_is_reported(tmp_path: Path, free_gib: float, state: str) -> None:
    """The folder need not exist."""
    [found] = check_disk(tmp_path / "a" / "b", lambda place: int(free_gib * 1024**3) if place == tmp_path else 0)
    assert found.state == state


def test_a_store_that_is_not_writable_is_reported(tmp_path: Path) -> None:
    """A file exists at the path of the folder."""
    (tmp_path / "store").write_text("a file")
    [found] = check_storage(FolderStore(tmp_path / "store"))
    assert (found.check, found.state) == ("storage", "failed")


def test_a_store_of_another_database_is_reported(queue: Queue, tmp_path: Path) -> None:
    """The advice names the command that changes the owner."""
    store = FolderStore(tmp_path / "store")
    store.bind(queue.transport)
    assert [found.state for found in check_storage(store)] == ["ok"] * 3
    marker = tmp_path / "store" / "cogo" / "deployment"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"marker": str(uuid4())}))
    found = {found.check: found for found in check_storage(store)}["artifact_owner"]
    assert (found.state, "--adopt-store" in str(found.advice)) == ("failed", True)
    store.adopt()
    assert [found.state for found in check_storage(store)] == ["ok"] * 3


def test_an_artifact_of_another_machine_is_reported(queue: Queue, tmp_path: Path) -> None:
    """A folder of another machine cannot be read here; the advice names the setting of a shared store."""
    store = FolderStore(tmp_path / "here")
    store.bind(queue.transport)
    assert [found.state for found in check_recent_artifact(store, queue)] == ["unused"]
    job, page = running_job(queue), tmp_path / "page.txt"
    page.write_text("hello")
    upload_artifacts(queue, store, job, [ArtifactFile("page.txt", "text/plain", page)])
    settle(queue, job)
    assert [found.state for found in check_recent_artifact(store, queue)] == ["ok"]
    [found] = check_recent_artifact(FolderStore(tmp_path / "there"), queue)
    assert (found.state, "COGO_ARTIFACT_URL" in str(found.advice)) == ("failed", True)


def test_unowned_objects_of_an_earlier_release_are_reported(queue: Queue, tmp_path: Path) -> None:
    """Objects that may belong to another database are not deleted until an operator decides."""
    stray = tmp_path / "store" / "reports" / f"{'a' * 64}.html"
    stray.parent.mkdir(parents=True)
    stray.touch()
    store = FolderStore(tmp_path / "store")
    store.bind(queue.transport)
    found = {found.check: found for found in check_storage(store)}["artifact_owner"]
    assert (found.state, "--adopt-store" in str(found.advice)) == ("warning", True)


@pytest.mark.parametrize("fault", ["public", "missing"])
def test_a_public_or_missing_bucket_is_reported(stand_in: StandIn, fault: str) -> None:
    """The message says what to do; a misspelt bucket is not created."""
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
def test_the_figma_token_is_checked(status: int, body: bytes, state: str) -> None:
    """A missing scope for this request proves a valid token."""
    with site(lambda _: (status, {}, body)) as there:
        settings = load_settings(None, FIGMA_API_TOKEN=CANARY)
        [found] = check_figma(settings, there.url, AllowList.of([there.host]))
        assert there.requests[0].headers["x-figma-token"] == CANARY
    assert found.state == state


def webhooks(find_secret: Callable[[str], str | None] = lambda _: None, **given: str) -> list[Finding]:
    """Return the findings for the targets of alerts."""
    return list(check_webhooks(load_settings(None, **given), find_secret))


def test_targets_are_checked_without_a_message() -> None:
    """The root page of the host is requested, not the secret webhook URL."""
    with site(lambda _: (404, {}, b"")) as there:
        given = {"WEBHOOK_URL": f"{there.url}/{CANARY}", "SLACK_WEBHOOK_URL": f"{there.url}/{CANARY}"}
        found = webhooks(
            lambda _: f"{there.url}/{CANARY}",
            WEBHOOK_TYPE="http,slack,googlechat",
            WEBHOOK_ALLOWED_HOSTS=there.host,
            **given,
        )
        requests: list[Request] = there.requests
        assert {(request.method, request.path) for request in requests} == {("GET", "/")}
    assert [one.state for one in found] == ["ok"] * 3
    assert CANARY not in str(found)


def test_invalid_targets_are_reported() -> None:
    """Targets without a setting, with a private or invalid URL, or without a secret in the vault."""

    def unreachable(reference: str) -> str | None:
        raise LookupError(f"{reference} is unreachable")

    [missing] = webhooks(WEBHOOK_TYPE="slack")
    [private] = webhooks(WEBHOOK_TYPE="http", WEBHOOK_URL="http://127.0.0.1:9/")
    [wrong] = webhooks(WEBHOOK_TYPE="http", WEBHOOK_URL=CANARY)
    [unset] = webhooks(WEBHOOK_TYPE="googlechat")
    [locked] = webhooks(unreachable, WEBHOOK_TYPE="googlechat")
    for found, message in (
        (missing, "SLACK_WEBHOOK_URL is not set"),
        (private, "WEBHOOK_ALLOWED_HOSTS"),
        (wrong, "is not a URL"),
        (unset, "has no googlechat:notify:webhook_url"),
        (locked, "is unreachable"),
    ):
        assert found.state == "failed"
        assert message in found.sentence
        assert CANARY not in found.sentence


def test_an_exception_of_a_check_is_reported_without_secrets() -> None:
    """The check has failed, and the others are reported."""

    def broken() -> list[Finding]:
        raise RuntimeError(CANARY)

    one, two, three = run_checks(
        [("one", lambda: [ok("one", "Fine.")]), ("two", broken), ("three", lambda: [failed("three", CANARY, CANARY)])],
        [CANARY],
    )
    assert (one.state, two.state, three.state) == ("ok", "failed", "failed")
    assert "RuntimeError" in two.sentence
    assert CANARY not in f"{two}{three}"
    assert unused("x", "y").advice is None


GATE = {"COGO_GATE_COMMANDS": '{"shop": {"checkout": "/srv/shop", "test": "true"}}'}


@pytest.mark.parametrize(
    ("available", "settings", "state", "message"),
    [
        (Isolation(root=True, landlock=7, namespaces=True), GATE, "ok", "a separate account, namespaces and Landlock"),
        (Isolation(root=False, landlock=2, namespaces=False), GATE, "warning", "can send signals"),
        (Isolation(root=False, landlock=0, namespaces=False), GATE, "failed", "do not claim gate jobs"),
        (Isolation(root=False, landlock=7, namespaces=True), {}, "unused", "gate jobs do not run here"),
        (
            Isolation(root=False, landlock=0, namespaces=False),
            GATE | {"COGO_GATE_UNISOLATED": "true"},
            "warning",
            "can read its secrets",
        ),
    ],
)
def test_the_isolation_of_gate_commands_is_reported(
    *,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    available: Isolation,
    settings: dict[str, str],
    state: str,
    message: str,
) -> None:
    """The finding describes what isolates the commands and what does not."""
    monkeypatch.setattr(run, "isolation", lambda: available)
    given = load_settings(None, COGO_HOME=str(tmp_path), COGO_DATABASE_URL="postgresql://127.0.0.1:9/x", **settings)
    [found] = [found for found in run.checkup(given) if found.check == "gate_isolation"]
    assert (found.state, message in found.sentence) == (state, True)


def test_a_silent_worker_is_reported_while_another_of_its_name_is_alive(
    cogo: Terminal, queue: Queue, owner: Owner
) -> None:
    """Two workers with the same default name are two workers."""
    dead = a_worker("host")
    for worker in (dead, a_worker("host")):
        register(queue, worker)
    owner.execute("update public.workers set started_at = started_at - interval '1 hour'")
    assert "silent_workers" not in states(cogo.run("doctor", "--json", **NO_BROWSER))
    owner.execute(
        "update public.workers set last_heartbeat_at = now() - interval '10 min' where instance_id = %s",
        [dead.instance_id],
    )
    found = finding(cogo.run("doctor", "--json", **NO_BROWSER), "silent_workers")
    assert found["state"] == "warning"
    assert "not started again: host." in found["sentence"]


def test_stranded_jobs_are_reported_with_what_a_worker_needs(cogo: Terminal, queue: Queue) -> None:
    """A live worker of another family does not serve them, and a scheduled job is not reported."""
    add(queue, "figma", run_in_seconds=28_800)
    assert states(cogo.run("doctor", "--json", **NO_BROWSER))["workers"] == "warning"
    add(queue, "figma", executor_id="mac")
    register(queue, a_worker(), families=("browser",))
    found = finding(cogo.run("doctor", "--json", **NO_BROWSER), "workers")
    assert found["state"] == "failed"
    assert "1 figma for mac: no live worker runs figma jobs" in found["sentence"]
    assert found["advice"] == "Start one with `cogo worker` and FIGMA_API_TOKEN and EXECUTOR_ID=mac set."
