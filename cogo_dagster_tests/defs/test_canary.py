"""Secrets in settings, vault, payloads and errors do not appear in tables, files, events or logs."""

import base64
import json
import logging
import zipfile
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from cogo_dagster.cli import main
from cogo_dagster.defs.queue.jobs import process_jobs
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, ExecutorContext, Snooze, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster.settings import load_settings
from cogo_dagster.vault.key_ring import new_key
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.defs.conftest import Installed
from cogo_dagster_tests.executors.site import serving
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.worker.executors import FakeExecutor

SECRETS = {
    "QUALITY_NOTIFY_ADMIN_TOKEN": "canary-admin-0b1c2d3e",
    "FIGMA_API_TOKEN": "canary-figma-4f5a6b7c",
    "SLACK_WEBHOOK_URL": "https://hooks.example.com/canary-slack-8d9e0f1a",
    "WEBHOOK_URL": "https://bot:canary-userinfo-2b3c4d5e@hooks.example.com/",
    "GITHUB_TOKEN": "canary-github-6f7a8b9c",
}
GATE_VALUE = "canary/gate+1f2a3b4c"
GATE_COMMANDS = json.dumps({"shop": {"checkout": "/srv/shop", "test": "true", "env": {"NPM_TOKEN": GATE_VALUE}}})
IN_VAULT = "canary-vault-0d1e2f3a"
IN_HEADER = "canary-header-4b5c6d7e"
UNKNOWN = (
    "postgresql://me:canary-unknown-8f9a0b1c@db.example.com/x https://api.example.com/v1?key=canary-unknown-8f9a0b1c "
    "Authorization: Bearer canary-unknown-8f9a0b1c password=canary-unknown-8f9a0b1c"
)


async def leak(job: Job, workspace: Workspace) -> ExecutionResult:
    """Fail or snooze as the payload says, with all secrets in the message."""
    known = [*SECRETS.values(), GATE_VALUE]
    encoded = [form for secret in known for form in _forms(secret)]
    text = " ".join([*known, UNKNOWN, quote(UNKNOWN, safe=""), *encoded])
    logging.getLogger("another.library").warning("%s and the cause", text)
    if job.payload["how"] == "class":
        raise ExecutionFailed("A secret in the class.", error_class=f"leak {GATE_VALUE}", retryable=False)
    if job.payload["how"] == "snooze":
        raise Snooze(text, delay_seconds=3_600)
    if job.payload["how"] == "fail":
        raise ExecutionFailed(text, error_class="leak", retryable=False, detail=text)
    raise RuntimeError(text)


def _forms(secret: str) -> list[str]:
    """Return a secret percent-encoded and in base64."""
    every = "".join(f"%{byte:02x}" for byte in secret.encode())
    encoded = (base64.b64encode(b"x" * before + secret.encode()).decode() for before in range(3))
    return [quote(secret, safe=""), every, *encoded, base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")]


def test_secrets_are_redacted_everywhere(  # noqa: PLR0917 - each fixture is an input or an output
    settings: dict[str, str],
    resources: dict[str, object],
    instance: dg.DagsterInstance,
    queue: Queue,
    owner: Owner,
    install: Installed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Secrets are in no table, artifact, event log or log, wherever they came from."""
    caplog.set_level(logging.DEBUG)
    key = new_key()
    with serving() as site:
        settings.update(SECRETS | {"COGO_VAULT_KEYS": key, "BROWSER_ALLOWED_HOSTS": "127.0.0.1", "NO_SANDBOX": "true"})
        settings |= {"COGO_GATE_COMMANDS": GATE_COMMANDS, "COGO_BROWSER_TRACE": "always"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        assert main(["vault", "set", "one", "more", "secret", IN_VAULT, "--json"]) == 0
        assert main(["enqueue", "browser", "--url", f"http://me:{IN_VAULT}@127.0.0.1/"]) == 2
        install(FakeExecutor(leak, family="gate"), BrowserExecutor.build(ExecutorContext.offline(load_settings())))
        for how in ("snooze", "fail", "raise", "class"):
            add(queue, "gate", payload={"how": how})
        visit = {
            "url": site.url(),
            "extra_headers": {"authorization": f"Bearer {IN_HEADER}", "x-other": SECRETS["GITHUB_TOKEN"]},
            "actions": [{"do": "click", "selector": "#nowhere", "timeout_ms": 200}],
        }
        page = add(queue, "browser", payload=visit)
        run = process_jobs.execute_in_process(
            instance=instance,
            resources=resources,
            run_config={"ops": {"claim_jobs": {"config": {"linger_seconds": 0.0}}}},
            raise_on_error=False,
        )
    assert run.success
    assert {job.document["error"]["class"] for job in queue.list_jobs() if job.document["error"]} == {
        "leak",
        "leak [hidden]",
        "RuntimeError",
        "snoozed",
        "timeout",
    }
    # A payload is stored as given; it is removed here.
    owner.execute("update public.jobs set payload = '{}' where id = %s", (page,))
    kept = _tables(owner) + _events(instance, run.run_id) + caplog.text + "".join(capfd.readouterr())
    files = _files(tmp_path)
    assert "nowhere" in kept
    assert b"Bearer" not in files
    assert b"x-other" in files
    known = [*SECRETS.values(), GATE_VALUE]
    forms = [form for secret in known for form in _forms(secret)]
    canaries = [*known, *forms, "canary-userinfo", "canary-unknown", IN_VAULT, key]
    assert "[hidden] and the cause" in kept
    assert [canary for canary in [*canaries, IN_HEADER] if canary in kept] == []
    assert [canary for canary in [*canaries, IN_HEADER] if canary.encode() in files] == []


def _tables(owner: Owner) -> str:
    names = owner.execute("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    return "\n".join(
        str(row)
        for (name,) in names.fetchall()
        for row in owner.execute(f"select to_jsonb(t)::text from public.{name} t")
    )


def _events(instance: dg.DagsterInstance, run_id: str) -> str:
    return "\n".join(dg.serialize_value(entry) for entry in instance.all_logs(run_id))


def _files(folder: Path) -> bytes:
    """Return the content of all files, including members of archives."""
    found = b""
    for path in folder.rglob("*"):
        if path.is_file() and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found += b"\n".join(archive.read(name) for name in archive.namelist())
        elif path.is_file():
            found += path.read_bytes()
    return found
