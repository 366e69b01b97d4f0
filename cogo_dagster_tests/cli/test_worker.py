"""`cogo worker` as a separate process, signalled, stopped and killed while it executes a job."""

import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from cogo_dagster_tests.cli.slow_site import SlowSite
from cogo_dagster_tests.cli.terminal import PROGRAM, Terminal
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.worker.faults import proxied

Enqueue = Callable[[], UUID]


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> str:
    """Run each test over both transports, configured by the environment only."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def cogo(cogo: Terminal, site: SlowSite) -> Terminal:
    """Return a terminal whose workers may open the slow page, over HTTP unless a test enables the browser."""
    cogo.environment |= {"NO_SANDBOX": "true", "BROWSER_ALLOWED_HOSTS": site.authority, "BROWSER_REAL_MODE": "false"}
    return cogo


@pytest.fixture
def enqueue(cogo: Terminal, site: SlowSite) -> Enqueue:
    """Return a function that enqueues a job for the slow page."""
    return lambda: UUID(cogo.ok("enqueue", "browser", "--url", site.url)["job_id"])


def look(cogo: Terminal, job_id: UUID) -> Any:
    """Return the job as printed by `cogo job show`."""
    return cogo.ok("job", "show", str(job_id))


def assert_requeued(cogo: Terminal, owner: Owner, job_id: UUID) -> None:
    """Assert that the job is queued with its attempt returned and no lease, and that the worker has stopped."""
    row = owner.execute("select status, attempts, lease_token, lease_expires_at from jobs where id = %s", (job_id,))
    assert row.fetchone() == ("queued", 0, None, None)
    assert [worker["stopped_at"] is not None for worker in cogo.ok("list", "workers")] == [True]


def is_running(owner: Owner, job_id: UUID) -> bool:
    """Whether the job is running."""
    row = owner.execute("select status from jobs where id = %s", (job_id,)).fetchone()
    return row == ("running",)


def test_max_jobs_limits_the_number_of_jobs(cogo: Terminal, site: SlowSite, enqueue: Enqueue) -> None:
    """With MAX_JOBS=2 and three jobs, two are settled and the third is never claimed."""
    site.answer.set()
    job_ids = [enqueue() for _ in range(3)]
    with cogo.start("worker", "--json", MAX_JOBS="2") as worker:
        answer = worker.wait()
    assert answer.code == 0
    assert answer.json["ended_because"] == "max_jobs"
    assert {name: count for name, count in answer.json["counters"].items() if count} == {"claimed": 2, "succeeded": 2}
    assert [look(cogo, job_id)["status"] for job_id in job_ids] == ["succeeded", "succeeded", "queued"]
    assert {json.loads(line)["kind"] for line in answer.err.splitlines()} >= {"started", "claimed", "settled"}


def test_drain_exits_when_no_job_is_due(cogo: Terminal) -> None:
    """With nothing due, --drain exits immediately."""
    with cogo.start("worker", "--drain") as worker:
        answer = worker.wait()
    assert (answer.code, "(drained): no jobs" in answer.out) == (0, True)


def test_worker_id_and_executor_id(cogo: Terminal, site: SlowSite) -> None:
    """WORKER_ID names the worker; with EXECUTOR_ID it claims jobs addressed to it and no others."""
    site.answer.set()
    for address in ("mac-1", "mac-2"):
        cogo.ok("enqueue", "browser", "--url", site.url, "--executor-id", address)
    with cogo.start("worker", "--drain", WORKER_ID="box", EXECUTOR_ID="mac-1") as worker:
        assert worker.wait().code == 0
    assert {row["executor_id"]: row["status"] for row in cogo.ok("list", "jobs")} == {
        "mac-1": "succeeded",
        "mac-2": "queued",
    }
    assert {row["worker_id"] for row in cogo.ok("list", "heartbeats", WORKER_ID="box")} == {"box"}
    assert cogo.ok("list", "heartbeats", WORKER_ID="other") == []


def test_sigterm_requeues_a_running_job(cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner) -> None:
    """After the grace period the job is queued again without consuming its attempt."""
    job_id = enqueue()
    with cogo.start("worker", BROWSER_REAL_MODE="true", COGO_GRACE_SECONDS="0.5") as worker:
        worker.until(lambda: site.requests)
        worker.send(signal.SIGTERM)
        answer = worker.wait()
    assert answer.code == 0, answer
    assert_requeued(cogo, owner, job_id)


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
def test_ctrl_c_lets_the_running_job_finish(cogo: Terminal, site: SlowSite, enqueue: Enqueue) -> None:
    """A terminal sends SIGINT to the browser too; the job succeeds nevertheless."""
    job_id = enqueue()
    with cogo.start("worker", BROWSER_REAL_MODE="true") as worker:
        worker.until(lambda: site.requests)
        worker.send_to_group(signal.SIGINT)
        worker.until_logged("Claiming ended")
        site.answer.set()
        answer = worker.wait()
    assert answer.code == 130, answer
    assert look(cogo, job_id)["status"] == "succeeded"


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
def test_a_second_signal_stops_immediately(cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner) -> None:
    """A second SIGTERM requeues the job before the end of the grace period."""
    job_id = enqueue()
    with cogo.start("worker", COGO_GRACE_SECONDS="3600") as worker:
        worker.until(lambda: site.requests)
        worker.send(signal.SIGTERM)
        worker.until_logged("Claiming ended")
        worker.send(signal.SIGTERM)
        answer = worker.wait()
    assert answer.code == 0, answer
    assert_requeued(cogo, owner, job_id)


IGNORED = ["", "HUP", "INT", "HUP INT QUIT"]
"""Signals that the shell inherits as ignored: none, under nohup, in a background script, or both."""


def shell(ignored: str, line: str) -> list[str]:
    """Return the command that runs a line in a shell that ignores signals."""
    return ["sh", "-c", f"trap '' {ignored}\nexec sh -c \"$0\"" if ignored else 'exec sh -c "$0"', line]


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
@pytest.mark.parametrize(
    ("line", "ignored"),
    [("'{cogo}' worker --json", ""), *(("'{cogo}' worker --json 2>&2 && exit 7", ignored) for ignored in IGNORED)],
)
def test_a_worker_stops_with_its_shell(
    cogo: Terminal, enqueue: Enqueue, site: SlowSite, line: str, ignored: str
) -> None:
    """SIGTERM ends the shell only; the worker detects this, stops, and requeues its job."""
    job_id = enqueue()
    command = shell(ignored, line.format(cogo=PROGRAM))
    with cogo.start(command=command, COGO_GRACE_SECONDS="0") as process:
        process.until(lambda: site.requests)
        process.send(signal.SIGTERM)
        answer = process.wait()  # for the worker, which has inherited standard output
    assert (answer.json["ended_because"], answer.json["counters"]["requeued"]) == ("stopped", 1)
    assert look(cogo, job_id)["attempts"] == 0


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
@pytest.mark.parametrize("ignored", IGNORED)
def test_a_background_worker_outlives_its_shell(cogo: Terminal, enqueue: Enqueue, site: SlowSite, ignored: str) -> None:
    """A worker started by `sh -c 'cogo worker &'` finishes its job after the shell has exited."""
    site.answer.set()
    job_id = enqueue()
    with cogo.start(command=shell(ignored, f"'{PROGRAM}' worker --json &"), MAX_JOBS="1") as process:
        assert process.wait().json["ended_because"] == "max_jobs"
    assert look(cogo, job_id)["status"] == "succeeded"


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
def test_a_signal_during_startup_stops_the_worker(cogo: Terminal) -> None:
    """SIGTERM is handled while the first connection waits for the database."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        dsn = f"postgresql://user@127.0.0.1:{mute.getsockname()[1]}/x"
        with cogo.start("worker", "--json", COGO_DATABASE_URL=dsn) as worker:
            connection, _ = mute.accept()
            with connection:
                worker.send(signal.SIGTERM)
                answer = worker.wait()
    assert (answer.code, answer.json["ended_because"], answer.err) == (0, "stopped", "")


def test_jobs_of_a_killed_worker_are_recovered(
    cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner, age: Age
) -> None:
    """After SIGKILL the lease expires, and another worker finishes the job in a second attempt."""
    job_id = enqueue()
    with cogo.start("worker", COGO_LEASE_SECONDS="5") as killed:
        killed.until(lambda: site.requests)
        killed.send(signal.SIGKILL)
        killed.wait()
    assert is_running(owner, job_id)
    age(job_id, 6)
    site.answer.set()
    with cogo.start("worker", COGO_LEASE_SECONDS="5", MAX_JOBS="1") as second:
        assert second.wait().code == 0
    job = look(cogo, job_id)
    assert (job["status"], job["attempts"]) == ("succeeded", 2)
    assert [attempt["outcome"] for attempt in job["superseded_attempts"]] == ["lost"]
    assert [artifact["address"] for artifact in job["artifacts"]] == cogo.objects()


def test_a_worker_that_was_suspended_past_its_lease_is_fenced(
    cogo: Terminal, site: SlowSite, enqueue: Enqueue, age: Age
) -> None:
    """After SIGSTOP another worker executes the job; the first one counts a lease loss and writes nothing."""
    job_id = enqueue()
    with cogo.start("worker", "--json", COGO_LEASE_SECONDS="5") as sleeper:
        sleeper.until(lambda: site.requests)
        sleeper.send(signal.SIGSTOP)
        age(job_id, 6)
        assert cogo.ok("recover", "leases")["requeued"] == 1
        site.answer.set()
        with cogo.start("worker", MAX_JOBS="1") as second:
            assert second.wait().code == 0
        done = look(cogo, job_id)
        sleeper.send(signal.SIGCONT)
        sleeper.until_logged('"lease_lost"')
        sleeper.send(signal.SIGTERM)
        answer = sleeper.wait()
    assert (answer.code, answer.json["counters"]["lease_lost"], answer.json["counters"]["succeeded"]) == (0, 1, 0)
    assert done["status"] == "succeeded"
    assert look(cogo, job_id) == done
    assert [artifact["address"] for artifact in done["artifacts"]] == cogo.objects()


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
@pytest.mark.root("only root cannot use the sandbox")
def test_root_without_no_sandbox_is_rejected(cogo: Terminal, enqueue: Enqueue) -> None:
    """The worker exits with a message that names NO_SANDBOX, without spending an attempt."""
    job_id = enqueue()
    with cogo.start("worker", BROWSER_REAL_MODE="true", NO_SANDBOX="") as worker:
        answer = worker.wait()
    assert (answer.code, "NO_SANDBOX=true" in answer.err.splitlines()[-1]) == (1, True)
    assert look(cogo, job_id)["attempts"] == 0


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
def test_a_closed_log_does_not_stop_the_worker(cogo: Terminal, site: SlowSite, enqueue: Enqueue) -> None:
    """The job succeeds although nothing reads standard error."""
    site.answer.set()
    job_id = enqueue()
    script = (
        "import os, subprocess, sys; r, w = os.pipe(); os.close(r); sys.exit(subprocess.call(sys.argv[1:], stderr=w))"
    )
    with cogo.start(command=[sys.executable, "-c", script, str(PROGRAM), "worker"], MAX_JOBS="1") as worker:
        assert worker.wait().code == 0
    assert look(cogo, job_id)["status"] == "succeeded"


def test_a_stop_is_bounded_without_a_database(dsn: str, cogo: Terminal, enqueue: Enqueue, site: SlowSite) -> None:
    """With an unresponsive database the process exits within the grace period plus ten seconds."""
    enqueue()
    with proxied(dsn) as proxy:
        with cogo.start("worker", COGO_DATABASE_URL=proxy.dsn, COGO_GRACE_SECONDS="1") as worker:
            worker.until(lambda: site.requests)
            proxy.silence(new_too=True)
            started_at = time.monotonic()
            worker.send(signal.SIGTERM)
            worker.wait()
        assert time.monotonic() - started_at < 1 + 10 + 2
