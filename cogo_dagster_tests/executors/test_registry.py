"""Executors of strangers' packages: one that cannot be loaded costs its own jobs and nothing else."""

import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from cogo_dagster.bootstrap import open_application, worker_options
from cogo_dagster.doctor.findings import State
from cogo_dagster.doctor.run import checkup
from cogo_dagster.executors.registry import installed_executors, left_to_others, validate_payload
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import WorkerEvent, run_worker
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
    """Install a package with one executor for each way to be broken; return their families."""
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
    """Choose the test's database."""
    return load_settings(COGO_DATABASE_URL=dsn, COGO_HOME=str(tmp_path), WORKER_ID="box", BROWSER_REAL_MODE="false")


def test_the_others_are_loaded_and_the_broken_are_named(broken: list[str], settings: Settings) -> None:
    """Each with one sentence, whatever it raised."""
    loaded = installed_executors(settings)
    assert [executor.family for executor in loaded.executors] == OWN
    assert sorted(loaded.broken) == sorted(broken)
    assert loaded.broken["broken_missing"] == (
        "The executor broken_missing (cogo_broken_missing:build) cannot be loaded: "
        "ModuleNotFoundError: No module named 'no_such_package'."
    )
    assert loaded.broken["broken_raises"].endswith("ValueError: It needs.")
    assert loaded.broken["broken_mute"].endswith("Mute: its text cannot be read.")
    assert "FIGMA_API_TOKEN" in loaded.lacking.values()
    assert {*broken, *loaded.lacking} == set(left_to_others(settings))


def test_a_payload_for_it_is_rejected_with_a_sentence(broken: list[str], settings: Settings) -> None:
    """Whoever enqueues hears why; other types are enqueued as ever."""
    with pytest.raises(InvalidPayload, match=r"The payload cannot be checked\. The executor broken_missing"):
        validate_payload(broken[0], {}, settings)
    assert validate_payload("browser", {"url": "http://example.com/"}, settings)["url"] == "http://example.com/"


@pytest.mark.usefixtures("broken")
def test_the_worker_says_it_and_it_becomes_an_alert(settings: Settings, queue: Queue, transport: Transport) -> None:
    """One alert for each family and machine; a start without the package ends it."""
    events: list[WorkerEvent] = []
    with open_application(settings) as application:
        application.worker(observer=events.append)
    warnings = [event.message for event in events]
    assert len(warnings) == len(BODIES)
    assert warnings[0].startswith(
        "The executor broken_exits (cogo_broken_exits:build) cannot be loaded: SystemExit: 3."
    )
    evaluate(transport)
    rows = alerts(transport)
    assert {row["kind"] for row in rows} == {"executor_unavailable"}
    assert "Worker box cannot load the executor broken_syntax" in {row["title"] for row in rows}
    assert queue.list_workers() == []  # it was built and not run


def test_the_alert_ends_with_a_start_that_can_load_it(
    broken: list[str], settings: Settings, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package was mended or removed."""
    with open_application(settings) as application:
        application.worker()
        evaluate(transport)
        assert len(alerts(transport, status="firing")) == len(broken)
        monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("/site")])
        application.worker()
    evaluate(transport)
    assert alerts(transport, status="firing") == []


def test_the_doctor_names_it(broken: list[str], settings: Settings) -> None:
    """With what to do."""
    found = [finding for finding in checkup(settings) if finding.check == "executors"]
    assert len(found) == len(broken)
    assert {finding.state for finding in found} == {State.FAILED}


FORMER = """
from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job
from cogo_dagster.settings import Settings

class FormerWords:
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

def build(settings: Settings) -> FormerWords:
    return FormerWords()
"""


def test_an_executor_of_before_the_base_class_works(
    settings: Settings, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain class behind a function `build(settings)`: its payloads are checked, and its jobs run."""
    (tmp_path / "cogo_former-1.0.dist-info").mkdir()
    metadata = tmp_path / "cogo_former-1.0.dist-info"
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cogo-former\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[cogo_dagster.executors]\nformer = cogo_former_words:build\n")
    (tmp_path / "cogo_former_words.py").write_text(FORMER)
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
def test_commands_work_beside_it(tmp_path: Path, dsn: str, queue: Queue) -> None:
    """A job is enqueued, and a worker runs it to its end."""
    browser = {"BROWSER_REAL_MODE": "false", "BROWSER_ALLOWED_HOSTS": "127.0.0.1"}
    cogo = terminal(tmp_path, dsn, browser | {"PYTHONPATH": str(tmp_path / "site")})
    job = cogo.ok("enqueue", "browser", "--url", "http://127.0.0.1:1/")
    with cogo.start("worker", "--max-jobs", "1") as worker:
        done = worker.wait()
    assert done.code == 0, done.err
    assert "The executor broken_syntax (cogo_broken_syntax:build) cannot be loaded: SyntaxError" in done.err
    [row] = queue.get_jobs([UUID(job["job_id"])])
    assert row.document["attempts"] == 1
