"""`cogo demo`: run browser jobs end to end, from an empty folder to screenshots on disk."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import typer

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.cli.command import ExitCode, JsonFlag, print_json
from cogo_dagster.cli.options import read_settings, typed
from cogo_dagster.cli.stop_signals import StopSignals
from cogo_dagster.cli.tables import Column, column, print_table
from cogo_dagster.cli.worker_log import WorkerLog
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.browser.trial import try_browser
from cogo_dagster.executors.errors import SandboxUnavailable
from cogo_dagster.executors.registry import validate_payload
from cogo_dagster.formatting.values import NOTHING, counted, error_line
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.model import JsonValue, NewJob
from cogo_dagster.queue.rows.jobs import StoredError, WholeJob
from cogo_dagster.settings import Settings, is_root

if TYPE_CHECKING:
    from cogo_dagster.dagster_support.launch import LaunchedRun

_EMBEDDED: Final = dict.fromkeys(
    ("COGO_DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "MAX_JOBS", "BROWSER_REAL_MODE"),
    "",
)
"""Settings that the demo ignores: it always uses the embedded database and its own browser."""

_NEXT: Final = "Next: run `{}` for the Dagster UI and a worker, and enqueue jobs from another terminal."

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>COGO demo</title>
<style>
  body { font: 18px/1.5 system-ui, sans-serif; margin: 0; background: #0f172a; color: #e2e8f0 }
  main { max-width: 44rem; margin: 4rem auto; padding: 0 1.5rem }
  h1 { font-size: 2.4rem; margin: 0 0 .5rem } p { color: #94a3b8 }
  .bar { display: flex; align-items: center; gap: 1rem; margin: .6rem 0 }
  .bar b { width: 7rem } .bar i { display: block; height: 1.4rem; border-radius: .3rem; background: #38bdf8 }
</style></head>
<body><main><h1 id="title"></h1><p id="text"></p><div id="bars"></div></main>
<script src="/page.js"></script></body></html>
"""

_SCRIPT: Final = """
fetch('/data.json').then(response => response.json()).then(data => {
  document.getElementById('title').textContent = data.title
  document.getElementById('text').textContent = 'This page was rendered by JavaScript in a real browser.'
  for (const [name, value] of data.stages) {
    const bar = document.createElement('div'), label = document.createElement('b'), line = document.createElement('i')
    bar.className = 'bar'; label.textContent = name; line.style.width = value + '%'
    bar.append(label, line); document.getElementById('bars').append(bar)
  }
  document.body.dataset.ready = 'yes'
})
"""

_DATA: Final = (
    '{"title": "COGO Agent Core", "stages": [["claim", 30], ["execute", 85], ["upload", 45], ["settle", 20]]}'
)

_FILES: Final = {
    "/": ("text/html; charset=utf-8", _PAGE),
    "/page.js": ("text/javascript; charset=utf-8", _SCRIPT),
    "/data.json": ("application/json", _DATA),
}

COLUMNS: Final = (
    column("job", "id", whole=True),
    column("type"),
    column("status", whole=True, is_status=True),
    Column("seconds", lambda job: f"{job.run_seconds:.2f}" if job.run_seconds else NOTHING, whole=True),
    Column("files", lambda job: str(len(job.artifacts))),
    column("error", "error", error_line),
)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Jobs and artifacts of a demo.

    Attributes:
        paths: Path of each artifact, by artifact ID.
    """

    jobs: Sequence[WholeJob]
    paths: Mapping[UUID, str | None]
    database_url: str
    run: "LaunchedRun"

    def to_json(self) -> dict[str, JsonValue]:
        """Return what `--json` prints."""
        jobs = [
            job.document | {"artifacts": [row.document | {"path": self.paths[row.id]} for row in job.artifacts]}
            for job in self.jobs
        ]
        return {"jobs": jobs, "dagster_run_id": self.run.run_id, "database_url": self.database_url}


def demo(
    *,
    url: Annotated[
        list[str] | None, typer.Option(help="Page to open, repeatable; a page served by the demo by default.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Start the embedded database, run browser jobs through Dagster, and list their artifacts."""
    log = WorkerLog(as_json=as_json)
    log.attach()
    with (
        StopSignals(lambda _: None, partial(_end_process, log)) as signals,
        nullcontext() if url else _site() as site,
    ):
        result = _run_demo(_page_jobs(url) if url else _site_jobs(site or ""), log, trusted=not url)
    if signals.stopped_early or result.run.interrupted:
        log.line("interrupted", "The demo was interrupted; its jobs were cancelled.")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if as_json:
        print_json(result.to_json())
    else:
        _show(result)
    if failure := _failure(result):
        log.line("failed", failure)
        raise typer.Exit(ExitCode.FAILED)
    if not as_json:
        typer.echo(_NEXT.format(typed("dev")))


def _run_demo(jobs: Sequence[NewJob], log: WorkerLog, *, trusted: bool) -> DemoResult:
    """Run the jobs on a dedicated worker; jobs that are still open at the end, or after an error, are cancelled."""
    overrides = _overrides(jobs)
    settings = read_settings(**overrides)
    for job in jobs:
        validate_payload(job.type, job.payload, settings)
    with _opened(settings, log) as application:
        overrides |= _sandbox(settings, log, trusted=trusted)
        own = [replace(job, executor_id=overrides["EXECUTOR_ID"]) for job in jobs]
        job_ids = [enqueued.job_id for enqueued in application.queue.enqueue(own)]
        try:
            enqueued_jobs = counted(len(jobs), "browser job")
            log.line("enqueued", f"Enqueued {enqueued_jobs}; starting the Dagster job process_jobs.")
            run = _run(overrides)
        finally:
            _cancel(application, job_ids)
        ended = application.queue.get_jobs(job_ids)
        paths = {artifact.id: application.address_of(artifact) for job in ended for artifact in job.artifacts}
        return DemoResult(ended, paths, application.public_dsn, run)


def _cancel(application: Application, job_ids: Sequence[UUID]) -> None:
    """Cancel open jobs, whose page is no longer served; they stay queued if the database is unreachable."""
    with suppress(QueueError):
        for job in application.queue.get_jobs(job_ids):
            if job.status in ("queued", "running"):
                application.queue.cancel(job.id, actor="cogo demo")


def _sandbox(settings: Settings, log: WorkerLog, *, trusted: bool) -> dict[str, str]:
    """Start a browser once before the jobs run; return the settings with which it starts.

    Args:
        trusted: Whether only pages of the demo itself are opened.

    Raises:
        ExecutorUnavailable: No browser is installed, or it does not start.
    """
    options = BrowserOptions.from_settings(settings)
    try:
        asyncio.run(try_browser(options))
    except SandboxUnavailable:
        if not trusted:
            raise
        log.line("sandbox", "Chromium cannot use a sandbox here; the demo opens only its own page, without a sandbox.")
        asyncio.run(try_browser(replace(options, no_sandbox=True)))
        return {"NO_SANDBOX": "true"}
    return {}


def _end_process(log: WorkerLog, reason: str) -> None:
    log.line("ended", reason)
    os._exit(ExitCode.INTERRUPTED)


def _page_jobs(urls: Sequence[str]) -> list[NewJob]:
    return [NewJob("browser", {"url": url}, priority=0, max_attempts=1) for url in urls]


def _site_jobs(site: str) -> list[NewJob]:
    ready = {"do": "wait_for", "selector": "body[data-ready]"}
    title = {"do": "extract", "name": "title", "selector": "#title"}
    phone = {"width": 390, "height": 844}
    return [
        NewJob("browser", {"url": f"{site}/", "actions": [ready, title]}, priority=0, max_attempts=1),
        NewJob("browser", {"url": f"{site}/", "actions": [ready], "viewport": phone}, priority=0, max_attempts=1),
        NewJob("browser.pdf", {"url": f"{site}/", "actions": [ready]}, priority=0, max_attempts=1),
    ]


def _overrides(jobs: Sequence[NewJob]) -> dict[str, str]:
    hosts = ",".join(sorted({urlsplit(str(job.payload["url"])).netloc.rpartition("@")[2] for job in jobs} - {""}))
    sandbox = {"NO_SANDBOX": "true"} if is_root() else {}
    # Addressed to a dedicated worker, so that no other worker claims these jobs, even if the demo is killed.
    own = {"EXECUTOR_ID": f"demo-{uuid4().hex[:12]}", "BROWSER_ALLOWED_HOSTS": hosts}
    return {**_EMBEDDED, **sandbox, **own}


@contextmanager
def _opened(settings: Settings, log: WorkerLog) -> Iterator[Application]:
    log.line("database", f"Starting the embedded PostgreSQL in {settings.home}.")
    with open_application(settings) as application:
        yield application


def _run(overrides: dict[str, str]) -> "LaunchedRun":
    # Dagster takes two seconds to import.
    from cogo_dagster.dagster_support.launch import run_process_jobs  # noqa: PLC0415
    from cogo_dagster.defs.queue.jobs import process_jobs  # noqa: PLC0415

    return run_process_jobs(process_jobs, overrides)


def _failure(result: DemoResult) -> str | None:
    """Return why the demo failed; None if all jobs succeeded."""
    if result.run.error:
        return f"The Dagster run failed: {result.run.error}"
    unsuccessful = [job for job in result.jobs if job.status != "succeeded"]
    if not unsuccessful:
        return None
    error = unsuccessful[0].error
    reason = error.message if isinstance(error, StoredError) else f"status {unsuccessful[0].status}."
    return f"{len(unsuccessful)} of {counted(len(result.jobs), 'job')} did not succeed: {reason}"


def _show(result: DemoResult) -> None:
    print_table(result.jobs, COLUMNS, when_empty="No jobs ran.")
    typer.echo()
    for job in result.jobs:
        for artifact in job.artifacts:
            typer.echo(f"{result.paths[artifact.id]}  ({artifact.name}, {artifact.size_bytes:,} bytes)")
    typer.echo(f"\nDagster run {result.run.run_id} {'failed' if result.run.error else 'succeeded'}.")


@contextmanager
def _site() -> Iterator[str]:
    """Serve the page on a free loopback port; yield its address without a trailing slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, name="demo-site", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content_type, body = _FILES.get(self.path.partition("?")[0], ("text/plain", ""))
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""
