"""Test data: jobs of every status, failures with causes, files, workers, a pause, an operator."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.artifacts import ArtifactStore, upload_artifacts
from cogo_dagster.queue.bulk_actions import plan, preview
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.model import ArtifactFile, Job, JobError, Json, Outcome
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, settle, take

TIMEOUT = JobError(
    "timeout", "The page did not load within 30 s: https://shop.example.com/cart", detail="Traceback:\n  page.goto"
)
HTTP = JobError("http_status", "The server answered 502 for https://api.example.com/v1/orders/4711.")
GONE = JobError("http_status", "The server answered 404 for https://example.com/old.", retryable=False)

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000"
    "00907753de0000000c49444154789c6360f8cfc000000301010018dd8db00000000049454e44ae426082"
)

_HISTORY = """
    insert into public.jobs (id, type, status, attempts, priority, payload, created_at, next_run_at, claimed_at,
                             started_at, finished_at, run_seconds, lease_token, worker_id, error)
    select (lpad(to_hex(floor(extract(epoch from ended) * 1000)::bigint), 12, '0') || '7000' || '8000'
               || lpad(to_hex(n), 12, '0'))::uuid, kind, word, 1, 5,
           jsonb_build_object('url', 'https://example.com/page/' || n), ended - run - interval '5 s', ended - run,
           ended - run, ended - run, ended, extract(epoch from run), gen_random_uuid(), 'worker-' || (1 + n % 3),
           case when word = 'failed' then jsonb_build_object('class', 'http_status', 'retryable', false,
               'detail', null, 'message', 'The server answered 404 for https://example.com/page/' || n || '.') end
    from (select n, now() - n * interval '86400 s' / {rows} * (1 + 0.2 * sin(n::float / 40)) as ended,
                 (0.4 + n % 7 * 0.6) * interval '1 s' as run,
                 (array['browser', 'browser', 'browser.pdf', 'figma'])[1 + n % 4] as kind,
                 case when n % 37 = 0 then 'failed' when n % 90 = 0 then 'cancelled' else 'succeeded' end as word
          from generate_series(1, {rows}) n) made
"""


@dataclass(frozen=True)
class Population:
    """The jobs that tests use.

    Attributes:
        done: Succeeded, with a screenshot, HTML, data and a trace.
        dead: Dead-lettered with a timeout, after its single attempt.
        action: A bulk action that was chosen and not started.
        cause: Fingerprint of the most frequent cause.
    """

    done: UUID
    dead: UUID
    running: UUID
    waiting: UUID
    queued: UUID
    worker: WorkerIdentity
    action: UUID
    cause: str


def history(dsn: str, rows: int = 600) -> None:
    """Insert finished jobs over the last 24 hours, without statistics, so that a lent database can be used again."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(_HISTORY.format(rows=rows).encode())


def populate(queue: Queue, store: ArtifactStore, folder: Path) -> Population:
    """Create the jobs through the queue's client."""
    worker = a_worker("worker-1", "mac-1")
    register(queue, worker, families=("browser", "figma"), concurrency=4)
    queue.heartbeat(
        worker,
        1,
        {
            "counters": {"claimed": 640, "succeeded": 600, "failed": 17, "lease_lost": 1},
            "latency": {"bounds_seconds": [0.1, 1, 10], "counts": [10, 500, 80, 3], "sum_seconds": 812.5},
        },
    )
    done = with_files(
        queue, store, running_job(queue, payload={"url": "https://example.com/", "full_page": True}), folder
    )
    dead = failing(queue, TIMEOUT, payload={"url": "https://shop.example.com/cart"})
    for number in range(3):
        failing(queue, HTTP, payload={"url": f"https://api.example.com/v1/orders/{number}"})
    failing(queue, GONE, payload={"url": "https://example.com/old"})
    running = running_job(queue, payload={"url": "https://slow.example.com/"}, max_attempts=3)
    waiting = add(queue, payload={"url": "https://later.example.com/"}, run_in_seconds=250)
    queued = add(queue, "figma", payload={"file_key": "abc123"}, executor_id="mac-1", idempotency_key="figma:abc123")
    queue.pause("type", "gate", reason="the runner is being moved", actor="anna")
    cause = queue.list_incidents()[0].fingerprint or ""
    found = preview(queue, "replay", JobSearch.parse("error:http_status"))
    chosen = plan(queue, "replay", [item.document for item in found.items], "anna", query="x", summary=found.summary)
    return Population(done, dead, running.id, waiting, queued, worker, chosen.id, cause)


def gate_history(application: Application) -> None:
    """Record thirty gate runs and three automatic fixes."""
    for number in range(30):
        run = {
            "gate_run_id": str(uuid4()),
            "type": "gate",
            "status": "fail" if number % 6 == 2 else "pass",
            "branch": "main",
            "commit_sha": f"{number:040x}",
            "build_seconds": 60 + number % 7 * 4,
            "test_seconds": 95 + number % 5 * 9,
            "lint_errors": number % 3,
            "lint_warnings": 4,
            "coverage_percent": 84.5,
        }
        application.gates.record(run)
    for number in range(3):
        application.gates.record(
            {"type": "gate_fix", "status": "pass", "branch": f"fix/{number}", "commit_sha": f"f{number:039x}"}
            | {"gate_run_id": str(uuid4()), "lint_errors": 0, "coverage_percent": 85.0, "tests_total": 120}
        )


def failing(queue: Queue, error: JobError, **options: Json) -> UUID:
    """Create a dead-lettered job."""
    job = running_job(queue, max_attempts=1, **options)
    settle(queue, job, Outcome.FAILED, error=error, run_seconds=30.0)
    return job.id


def with_files(queue: Queue, store: ArtifactStore, job: Job, folder: Path, trace_file: Path | None = None) -> UUID:
    """Let a job succeed with one file of each kind; with a real trace if one is given."""
    trace = io.BytesIO(trace_file.read_bytes() if trace_file else b"")
    if trace_file is None:
        with zipfile.ZipFile(trace, "w") as archive:
            archive.writestr("trace.trace", "")
    contents = {
        "screenshot.png": ("image/png", PIXEL),
        "page.html": ("text/html", b"<title>Example</title><script>document.title = 'run'</script>"),
        "data.json": ("application/json", json.dumps({"title": "Example", "prices": [1, 2]}).encode()),
        "trace.zip": ("application/zip", trace.getvalue()),
    }
    files = []
    for name, (kind, content) in contents.items():
        (folder / name).write_bytes(content)
        files.append(ArtifactFile(name, kind, folder / name))
    upload_artifacts(queue, store, job, files)
    settle(queue, job, Outcome.SUCCEEDED, result={"title": "Example", "status": 200}, run_seconds=1.4)
    return job.id


__all__ = ["Population", "failing", "history", "populate", "take", "with_files"]
