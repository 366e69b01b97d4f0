"""`cogo worker`: run a worker in DB mode."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import Application, open_application, worker_options
from cogo_dagster.cli.command import ExitCode, JsonFlag, print_json
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.stop_signals import StopSignals, stop_with_shell
from cogo_dagster.cli.worker_log import WorkerLog
from cogo_dagster.executors.registry import installed_executors
from cogo_dagster.queue.worker import WorkerReport, run_worker
from cogo_dagster.settings import Settings

_COUNTERS: Final = (
    "claimed",
    "succeeded",
    "retried",
    "failed",
    "snoozed",
    "requeued",
    "cancelled",
    "lease_lost",
    "recovered",
)


def worker(
    *,
    max_jobs: Annotated[
        int | None, typer.Option(envvar="MAX_JOBS", min=1, help="Exit after this number of jobs.")
    ] = None,
    worker_id: Annotated[
        str | None, typer.Option(envvar="WORKER_ID", help="Stable name of the worker; the host name by default.")
    ] = None,
    executor_id: Annotated[
        str | None, typer.Option(envvar="EXECUTOR_ID", help="Executor ID to serve, besides unaddressed jobs.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            envvar="COGO_CONCURRENCY",
            min=1,
            max=1000,
            help="Number of concurrent jobs; by default two per core, depending on the memory.",
        ),
    ] = None,
    drain: Annotated[bool, typer.Option("--drain", help="Exit when no job is due.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run jobs until a signal, up to --max-jobs, or with --drain until no job is due. Log to standard error."""
    stop_with_shell()
    threads = set(threading.enumerate())
    log = WorkerLog(as_json=as_json)
    end = partial(_end_process, log)
    with StopSignals(log=lambda message: log.line("signal", message), end=end) as signals:
        settings = read_settings(
            MAX_JOBS=max_jobs, WORKER_ID=worker_id, EXECUTOR_ID=executor_id, COGO_CONCURRENCY=concurrency
        )
        log.attach(settings.secret_values())
        report = _run(settings, signals, log, drain=drain)
    if signals.stopped_early:
        report = WorkerReport({}, 0, "stopped")
    _print_report(report, as_json)
    if report.ended_because == "slots_lost":
        _replace_process(settings.max_jobs, report)
    code = ExitCode.INTERRUPTED if signals.interrupted else ExitCode.OK
    _exit_despite_threads(threads, code)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _run(settings: Settings, signals: StopSignals, log: WorkerLog, *, drain: bool) -> WorkerReport:
    with open_application(settings) as application:
        options = worker_options(settings)
        worker = application.worker(
            observer=log,
            options=replace(options, linger_seconds=0) if drain else options,
            last_resort=partial(_end_process, log),
        )
        signals.set_target(worker, options.grace_seconds)
        log.line("started", f"Worker {settings.worker_id} started on {application.public_dsn}.")
        for family, setting in installed_executors(settings).lacking.items():
            log.line("started", f"The family {family} is not served: {setting} is not set.")
        with _alerting(application, log):
            return run_worker(worker)


def _end_process(log: WorkerLog, reason: str) -> None:
    """End a process that cannot stop normally; its leases expire."""
    log.line("ended", f"{reason} The process exits; its jobs are recovered when their leases expire.")
    os._exit(ExitCode.STUCK)


def _replace_process(max_jobs: int | None, report: WorkerReport) -> None:
    """Replace this process by the same command, to end executions that cannot be cancelled."""
    remaining = [] if max_jobs is None else ["--max-jobs", str(max_jobs - report.counters.get("claimed", 0))]
    if remaining and int(remaining[1]) <= 0:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], *remaining])  # noqa: S606 - the command line of this process


def _exit_despite_threads(before: set[threading.Thread], code: ExitCode) -> None:
    """Exit immediately if executions have left non-daemon threads, which would prevent the exit."""
    if any(not thread.daemon for thread in threading.enumerate() if thread not in before):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def _alerting(application: Application, log: WorkerLog) -> Iterator[None]:
    """Deliver alerts in the background if WEBHOOK_TYPE is set; a missing variable is an error at start."""
    if not (application.settings.webhook_types or application.settings.deadman_url):
        yield
        return
    with application.alerts.loop(lambda message: log.line("alerts", message)).running():
        yield


def _print_report(report: WorkerReport, as_json: bool) -> None:
    counters = {name: report.counters.get(name, 0) for name in _COUNTERS}
    if as_json:
        seconds = round(report.elapsed_seconds, 3)
        print_json({"ended_because": report.ended_because, "elapsed_seconds": seconds, "counters": counters})
    else:
        counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counters.items() if count)
        typer.echo(
            f"The worker ended after {report.elapsed_seconds:.1f} s ({report.ended_because}): {counted or 'no jobs'}."
        )
