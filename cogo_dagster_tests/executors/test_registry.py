"""Executors of other packages: one that cannot be loaded affects only its own jobs."""

import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from cogo_dagster.bootstrap import open_application, worker_options
from cogo_dagster.doctor.findings import State
from cogo_dagster.doctor.run import checkup
from cogo_dagster.executors.registry import families, installed_executors, left_to_others, validate_payload
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import EventObserver, WorkerEvent, run_worker
from cogo_dagster.settings import Settings, load_settings
from cogo_dagster_tests.alerts.steps import alerts, evaluate
from cogo_dagster_tests.cli.terminal import terminal

OWN = ["browser", "figma", "gate", "gate_fix", "weekly_summary"]

BODIES = {
    "missing": "import no_such_package",
    "syntax": "def build(settings:",
    "raises": "def build(settings):\n    raise ValueError('It needs\\nmore.')",
    "exits": "import sys\nsys.exit(3)",
    "nothing": "def build(settings):\n    return None",
    "mute": "class Mute(Exception):\n    def __str__(self): raise OSError\ndef build(settings):\n    raise Mute",
}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Install a package with one executor for each kind of defect; return their families."""
    folder = tmp_path / "site"
    points = [f"broken_{name} = cogo_broken_{name}:build" for name in BODIES]
    info = folder / "cogo_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cogo-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[cogo_dagster.executors]", *points]))
    for name, body in BODIES.items():
        (folder / f"cogo_broken_{name}.py").write_text(body)
    monkeypatch.syspath_prepend(str(folder))
    return [f"broken_{name}" for name in BODIES]


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    """Settings for the test's database."""
    return load_settings(COGO_DATABASE_URL=dsn, COGO_HOME=str(tmp_path), WORKER_ID="box", BROWSER_REAL_MODE="false")


def test_a_package_is_found_as_soon_as_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known executors are those of the packages in the folders of `sys.path` at the time of the call."""
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "later" not in families()
    info = tmp_path / "cogo_later-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[cogo_dagster.executors]\nlater = cogo_later:build\n")
    assert families()["later"].value == "cogo_later:build"
    info.rename(tmp_path / "removed")
    assert "later" not in families()


def test_broken_executors_are_reported_and_others_loaded(broken: list[str], settings: Settings) -> None:
    """Executors that cannot be loaded are reported with the reason, and the others are loaded."""
    loaded = installed_executors(settings)
    assert [executor.family for executor in loaded.executors] == OWN
    assert sorted(loaded.broken) == sorted(broken)
    assert loaded.broken["broken_missing"] == (
        "The executor broken_missing (cogo_broken_missing:build) cannot be loaded: "
        "ModuleNotFoundError: No module named 'no_such_package'."
    )
    assert loaded.broken["broken_raises"].endswith("ValueError: It needs.")
    assert loaded.broken["broken_mute"].endswith("Mute: the error message cannot be read.")
    assert "FIGMA_API_TOKEN" in loaded.lacking.values()
    assert {*broken, *loaded.lacking} == set(left_to_others(settings))


def test_a_payload_for_a_broken_executor_is_rejected(broken: list[str], settings: Settings) -> None:
    """A payload for a broken executor is rejected with the reason; other types are validated as usual."""
    with pytest.raises(InvalidPayload, match=r"The payload cannot be validated\. The executor broken_missing"):
        validate_payload(broken[0], {}, settings)
    assert validate_payload("browser", {"url": "http://example.com/"}, settings)["url"] == "http://example.com/"


@pytest.mark.usefixtures("broken")
def test_a_broken_executor_raises_a_warning_and_an_alert(
    settings: Settings, queue: Queue, transport: Transport
) -> None:
    """A worker logs a warning and raises an alert for each broken executor."""
    events: list[WorkerEvent] = []
    with open_application(settings) as application:
        application.worker(observer=EventObserver(events.append))
    warnings = [event.message for event in events]
    assert len(warnings) == len(BODIES)
    assert warnings[0].startswith(
        "The executor broken_exits (cogo_broken_exits:build) cannot be loaded: SystemExit: 3."
    )
    evaluate(transport)
    rows = alerts(transport)
    assert {row["kind"] for row in rows} == {"executor_unavailable"}
    assert "Worker box cannot load the executor broken_syntax" in {row["title"] for row in rows}
    assert queue.list_workers() == []  # the worker was built but not run


def test_the_alert_is_resolved_once_the_executor_loads(
    broken: list[str], settings: Settings, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert is resolved when a worker starts without the broken package."""
    with open_application(settings) as application:
        application.worker()
        evaluate(transport)
        assert len(alerts(transport, status="firing")) == len(broken)
        monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("/site")])
        application.worker()
    evaluate(transport)
    assert alerts(transport, status="firing") == []


def test_doctor_reports_broken_executors(broken: list[str], settings: Settings) -> None:
    """`cogo doctor` reports each broken executor as failed."""
    found = [finding for finding in checkup(settings) if finding.check == "executors"]
    assert len(found) == len(broken)
    assert {finding.state for finding in found} == {State.FAILED}


LEGACY = """
from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job
from cogo_dagster.settings import Settings

class LegacyWords:
    family = "former"
    slots = None
    prefetch = 0

    def use(self, ports):
        self.ports = ports

    def validate(self, type, payload):
        if not isinstance(payload, dict) or not isinstance(payload.get("text"), str):
            raise InvalidPayload("The payload must be an object with a text.")
        return payload

    async def start(self): pass

    async def stop(self): pass

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        words = self.validate(job.type, job.payload)["text"].split()
        path = workspace.folder / "words.txt"
        path.write_text("\\n".join(words))
        assert self.ports.transport.call("find_cached_artifacts", {"cache_keys": []}) == {}
        return ExecutionResult({"words": len(words)}, [ArtifactFile("words.txt", "text/plain", path)])

def build(settings: Settings) -> LegacyWords:
    return LegacyWords()
"""


def test_an_executor_without_the_base_class_works(
    settings: Settings, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain class returned by a function `build(settings)` validates payloads and runs jobs."""
    (tmp_path / "cogo_former-1.0.dist-info").mkdir()
    metadata = tmp_path / "cogo_former-1.0.dist-info"
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cogo-former\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[cogo_dagster.executors]\nformer = cogo_former_words:build\n")
    (tmp_path / "cogo_former_words.py").write_text(LEGACY)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InvalidPayload, match="an object with a text"):
        validate_payload("former", {}, settings)
    payload = validate_payload("former", {"text": "one two"}, settings)
    [job] = queue.enqueue([NewJob("former", payload)])
    with open_application(settings) as application:
        options = replace(worker_options(settings), linger_seconds=0)
        worker = application.worker(options=options, executors=[application.executor("former")])
        assert run_worker(worker).counters["succeeded"] == 1
    [row] = queue.get_jobs([job.job_id])
    assert row.document["result"] == {"words": 2}
    assert [artifact["name"] for artifact in row.document["artifacts"]] == ["words.txt"]


@pytest.mark.usefixtures("broken")
def test_commands_work_despite_a_broken_executor(tmp_path: Path, dsn: str, queue: Queue) -> None:
    """Broken executors do not prevent enqueueing and running other jobs."""
    browser = {"BROWSER_REAL_MODE": "false", "BROWSER_ALLOWED_HOSTS": "127.0.0.1"}
    cogo = terminal(tmp_path, dsn, browser | {"PYTHONPATH": str(tmp_path / "site")})
    job = cogo.ok("enqueue", "browser", "--url", "http://127.0.0.1:1/")
    with cogo.start("worker", "--max-jobs", "1") as worker:
        done = worker.wait()
    assert done.code == 0, done.err
    assert "The executor broken_syntax (cogo_broken_syntax:build) cannot be loaded: SyntaxError" in done.err
    [row] = queue.get_jobs([UUID(job["job_id"])])
    assert row.document["attempts"] == 1
