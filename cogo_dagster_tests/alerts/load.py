"""A load test: thousands of failures with twenty causes, outages of all targets, and a deliverer that is killed twice.

The short version is a test; the long one is `uv run python -m cogo_dagster_tests.alerts.load`, about six minutes.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg

from cogo_dagster.queue.client import ClaimRequest, Queue
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import JobError, NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.alerts.receivers import (
    Handler,
    Receiver,
    Reply,
    Request,
    anything,
    google_chat,
    receiving,
    slack,
)
from cogo_dagster_tests.alerts.test_targets import CHAT_PATH, SLACK_PATH
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.forks import start
from cogo_dagster_tests.queue.steps import a_worker
from cogo_dagster_tests.servers import private_server
from cogo_dagster_tests.test_redaction import SECRET

KINDS = 20
DOWN = {
    "slack": Reply(429, "rate_limited", {"Retry-After": "3"}),
    "googlechat": Reply(503, "{}"),
    "http": Reply(hang=True),
}
HANDLERS = {"slack": slack, "googlechat": google_chat, "http": anything}
KILLS = 2
TABLES = ("alerts", "alert_deliveries", "alert_targets", "operations_log", "run_failures")


@dataclass
class Load:
    """Parameters and results of a load test."""

    failures: int
    killed: int = 0
    seconds: float = 0
    receivers: dict[str, Receiver] = field(default_factory=dict)
    logs: str = ""
    _deliverer: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def began(self, deliverer: int) -> None:
        """Kill this process during its first message, if too few have been killed."""
        if self.killed < KILLS:
            self._deliverer = deliverer

    def got(self, handler: Handler, request: Request) -> Reply:
        """Kill the process that waits for the reply with SIGKILL, if it is to be killed, and return the reply."""
        with self._lock:
            if self._deliverer is not None:
                os.kill(self._deliverer, signal.SIGKILL)
                self._deliverer, self.killed = None, self.killed + 1
        return handler(request)

    def messages(self) -> dict[str, int]:
        """Return the number of messages that each target accepted."""
        return {name: len(receiver.accepted) for name, receiver in self.receivers.items()}


@contextlib.contextmanager
def listening(load: Load) -> Iterator[dict[str, Receiver]]:
    """Run a receiver for each target."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(receiving(partial(load.got, handler))) for name, handler in HANDLERS.items()}


def environment(receivers: dict[str, Receiver]) -> dict[str, str]:
    """Return the environment of the deliverer."""
    return {
        "WEBHOOK_TYPE": ",".join(receivers),
        "SLACK_WEBHOOK_URL": receivers["slack"].url(SLACK_PATH),
        "GOOGLE_CHAT_WEBHOOK_URL": receivers["googlechat"].url(CHAT_PATH),
        "WEBHOOK_URL": receivers["http"].url("/hook?token=s3cr3tHookToken"),
        "WEBHOOK_ALLOWED_HOSTS": ",".join(receiver.authority for receiver in receivers.values()),
        "COGO_ALERT_REPEAT_SECONDS": "60",
    }


def fail_jobs(queue: Queue, count: int, seconds: float) -> None:
    """Create dead-lettered jobs with twenty causes, spread over the time; each error contains a secret."""
    began = time.monotonic()
    for first in range(0, count, 100):
        size = min(100, count - first)
        queue.enqueue([NewJob("browser", max_attempts=1) for _ in range(size)])
        jobs = queue.claim(uuid4(), [ClaimRequest("browser", size)], a_worker(), lease_seconds=600, max_jobs=size).jobs
        ended = [Settlement(job, Outcome.FAILED, error=_error(first + number)) for number, job in enumerate(jobs)]
        queue.settle(ended)
        time.sleep(max(0.0, began + seconds * (first + size) / count - time.monotonic()))


def _error(number: int) -> JobError:
    kind = "abcdefghijklmnopqrst"[number % KINDS]
    return JobError(f"kind_{kind}", f"Attempt {number} was rejected: token={SECRET}")


def deliver_until(cogo: Terminal, load: Load, finished: Callable[[], bool], settled: Callable[[], bool]) -> None:
    """Run `cogo alerts deliver` until nothing is due and the first processes that sent a message have been killed."""
    while not (finished() and settled() and load.killed == KILLS):
        log = cogo.folder / "deliver.log"
        with log.open("a") as out:
            words = ["alerts", "deliver", "--for", "20s"]
            process = start(words, cogo.folder, cogo.environment, [0, out.fileno(), out.fileno()])
            load.began(process.pid)
            while process.poll() is None:
                time.sleep(0.1)
        time.sleep(0.5)
        load.logs = log.read_text()


def verify(owner: "psycopg.Connection[tuple[object, ...]]", load: Load) -> list[str]:
    """Return violations: lost or wrongly counted failures, and secrets."""
    wrong = []
    rows = owner.execute("select error_class, count from public.alerts where kind = 'job_failed'").fetchall()
    counts = {str(error_class): int(str(count)) for error_class, count in rows}
    if len(counts) != KINDS or sum(counts.values()) != load.failures:
        wrong.append(f"counts of the alerts: {counts}")
    behind = owner.execute(
        "select d.target, a.error_class, d.status, d.announced_count, a.count from public.alert_deliveries d"
        " join public.alerts a on a.id = d.alert_id where a.kind = 'job_failed'"
        " and (d.status <> 'delivered' or d.announced_count <> a.count)"
    ).fetchall()
    wrong += [f"not delivered: {row}" for row in behind]
    planned = owner.execute(
        "select count(*) from public.alert_deliveries d join public.alerts a on a.id = d.alert_id"
        " where a.kind = 'job_failed'"
    ).fetchone()
    if planned != (KINDS * len(HANDLERS),):
        wrong.append(f"{planned} deliveries of job_failed")
    delivered: Counter[str] = Counter()
    known: set[str] = set()
    for request in load.receivers["http"].accepted:
        message = request.json["data"]
        if message["message_id"] not in known:
            known.add(message["message_id"])
            delivered.update({a["fingerprint"]: a["new_count"] for a in message["alerts"] if a["kind"] == "job_failed"})
    if sum(delivered.values()) != load.failures:
        wrong.append(f"the http receiver got {sum(delivered.values())} failures")
    dump = "".join(
        str(owner.execute(f"select to_jsonb(t)::text from public.{table} t".encode()).fetchall()) for table in TABLES
    )
    bodies = b"".join(request.body for receiver in load.receivers.values() for request in receiver.requests)
    for place, text in (("a row", dump), ("a log", load.logs), ("a message", bodies.decode())):
        wrong += [f"{secret} is in {place}" for secret in (SECRET, "s3cr3t") if secret in text]
    return wrong


def outages(receivers: dict[str, Receiver], seconds: float) -> threading.Thread:
    """Take each target down for a third of the time, one after another, with overlaps."""

    def run() -> None:
        for name, reply in DOWN.items():
            receivers[name].down = reply
            time.sleep(seconds / 4)
        for name in DOWN:
            receivers[name].down = None
            time.sleep(seconds / 12)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def run_load(dsn: str, folder: Path, *, failures: int, seconds: float, settled: Callable[[Load], bool]) -> Load:
    """Fail jobs, take targets down, kill the deliverer twice, and deliver until nothing is due."""
    load = Load(failures)
    began = time.monotonic()
    with listening(load) as receivers:
        load.receivers = receivers
        transport = PostgresTransport(dsn)
        failing = threading.Thread(target=fail_jobs, args=(Queue(transport), failures, seconds), daemon=True)
        failing.start()
        breaking = outages(receivers, seconds)
        cogo = terminal(folder, dsn, environment(receivers))
        deliver_until(cogo, load, lambda: not failing.is_alive() and not breaking.is_alive(), lambda: settled(load))
        transport.close()
    load.seconds = time.monotonic() - began
    return load


def main() -> int:
    """Run the long version and print a report."""
    with private_server() as server, tempfile.TemporaryDirectory() as folder:
        server.start()
        dsn = server.dsn("cogo")
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as owner:
            deadline = time.monotonic() + 900

            def settled(load: Load) -> bool:
                return not verify(owner, load) or time.monotonic() > deadline

            load = run_load(dsn, Path(folder), failures=10_000, seconds=60, settled=settled)
            wrong = verify(owner, load)
        report = {
            "failures": load.failures,
            "seconds": round(load.seconds),
            "killed": load.killed,
            "messages": load.messages(),
            "requests": {name: len(receiver.requests) for name, receiver in load.receivers.items()},
            "wrong": wrong,
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
