"""`cogo worker` as a separate process, signalled, stopped and killed while it executes a job."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.cli.slow_site import SlowSite
from cogo_dagster_tests.cli.terminal import Terminal, eventually
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.forks import PROGRAM
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn
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


def recovered(cogo: Terminal, owner: Owner, age: Age, job_id: UUID) -> bool:
    """Expire a job's lease and recover it; its worker may have sent a renewal that arrives in between."""
    age(job_id, 61)
    return bool(cogo.ok("recover", "leases")["requeued"] == 1 or not is_running(owner, job_id))


def test_a_worker_runs_its_own_jobs_up_to_a_number(cogo: Terminal, site: SlowSite) -> None:
    """With MAX_JOBS=2 two jobs are settled, EXECUTOR_ID selects those addressed to it, and WORKER_ID names it.

    The oldest job is addressed to another executor, and the last one is never claimed.
    """
    site.answer.set()
    job_ids = [
        UUID(cogo.ok("enqueue", "browser", "--url", site.url, "--executor-id", address)["job_id"])
        for address in ("mac-2", "mac-1", "mac-1", "mac-1")
    ]
    with cogo.start("worker", "--json", MAX_JOBS="2", WORKER_ID="box", EXECUTOR_ID="mac-1") as worker:
        answer = worker.wait()
    assert answer.code == 0
    assert answer.json["ended_because"] == "max_jobs"
    assert {name: count for name, count in answer.json["counters"].items() if count} == {"claimed": 2, "succeeded": 2}
    assert [look(cogo, job_id)["status"] for job_id in job_ids] == ["queued", "succeeded", "succeeded", "queued"]
    assert {json.loads(line)["kind"] for line in answer.err.splitlines()} >= {"started", "claimed", "settled"}
    assert {row["worker_id"] for row in cogo.ok("list", "heartbeats", WORKER_ID="box")} == {"box"}
    assert cogo.ok("list", "heartbeats", WORKER_ID="other") == []


@pytest.mark.parametrize("way", ["postgres"])  # the other test claims over both
def test_drain_exits_when_no_job_is_due(cogo: Terminal, site: SlowSite) -> None:
    """With --drain and a job for another executor only, the worker exits immediately."""
    cogo.ok("enqueue", "browser", "--url", site.url, "--executor-id", "mac-2")
    with cogo.start("worker", "--drain", EXECUTOR_ID="mac-1") as worker:
        answer = worker.wait()
    assert (answer.code, "(drained): no jobs" in answer.out) == (0, True)
    assert [row["status"] for row in cogo.ok("list", "jobs")] == ["queued"]


def test_sigterm_requeues_a_running_job(
    cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner, way: str
) -> None:
    """After the grace period the job is queued again without consuming its attempt.

    Over one of the transports a browser executes it, which ends in the same way over the other.
    """
    job_id = enqueue()
    browser = "true" if way == "postgres" else "false"
    with cogo.start("worker", BROWSER_REAL_MODE=browser, COGO_GRACE_SECONDS="0.5") as worker:
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

FOLLOWS = """
import threading
from cogo_dagster.cli.stop_signals import stop_with_shell
stop_with_shell()
print("cogo-shell" in [thread.name for thread in threading.enumerate()])
"""
"""Prints whether a process that begins as a worker does will end with its shell."""


def shell(ignored: str, line: str) -> list[str]:
    """Return the command that runs a line in a shell that ignores signals."""
    return ["sh", "-c", f"trap '' {ignored}\nexec sh -c \"$0\"" if ignored else 'exec sh -c "$0"', line]


@pytest.mark.parametrize("ignored", IGNORED)
@pytest.mark.parametrize(("line", "follows"), [("{look} 2>&2 && exit 0", True), ("{look} & wait", False)])
def test_only_a_foreground_process_follows_its_shell(line: str, follows: bool, ignored: str) -> None:
    """A process ends with the shell that waits for it, and outlives one that has started it in the background."""
    command = shell(ignored, line.format(look=f"'{sys.executable}' -c '{FOLLOWS.replace(chr(39), chr(34))}'"))
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"{follows}\n"


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
@pytest.mark.parametrize(
    ("line", "ignored"),
    [("'{cogo}' worker --json", ""), ("'{cogo}' worker --json 2>&2 && exit 7", "HUP INT QUIT")],
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
def test_a_background_worker_outlives_its_shell_and_its_log(cogo: Terminal, enqueue: Enqueue, site: SlowSite) -> None:
    """A worker started by `sh -c 'cogo worker &'` finishes its job after the shell has exited, and its terminal.

    Nothing reads standard error then.
    """
    site.answer.set()
    job_id = enqueue()
    script = (
        "import os, subprocess, sys; r, w = os.pipe(); os.close(r); sys.exit(subprocess.call(sys.argv[1:], stderr=w))"
    )
    command = [sys.executable, "-c", script, *shell("", f"'{PROGRAM}' worker --json &")]
    with cogo.start(command=command, MAX_JOBS="1") as process:
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


def test_jobs_of_killed_and_suspended_workers_are_recovered(
    cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner, age: Age
) -> None:
    """After SIGKILL and SIGSTOP the leases expire, and another worker finishes both jobs in a second attempt.

    The suspended worker counts a lease loss when it continues, and writes nothing.
    """
    lost_id = enqueue()
    with cogo.start("worker", COGO_LEASE_SECONDS="60") as killed:
        killed.until(lambda: site.requests == 1)
        killed.send(signal.SIGKILL)
        killed.wait()
    assert is_running(owner, lost_id)
    fenced_id = enqueue()
    with cogo.start("worker", "--json", COGO_LEASE_SECONDS="60") as sleeper:
        sleeper.until(lambda: site.requests == 2)
        sleeper.send(signal.SIGSTOP)
        eventually(lambda: recovered(cogo, owner, age, fenced_id))
        age(lost_id, 61)
        site.answer.set()
        with cogo.start("worker", MAX_JOBS="2") as other:
            assert other.wait().code == 0
        done = look(cogo, fenced_id)
        sleeper.send(signal.SIGCONT)
        sleeper.until_logged('"lease_lost"')
        sleeper.send(signal.SIGTERM)
        answer = sleeper.wait()
    assert (answer.code, answer.json["counters"]["lease_lost"], answer.json["counters"]["succeeded"]) == (0, 1, 0)
    assert look(cogo, fenced_id) == done
    jobs = [look(cogo, lost_id), done]
    assert [(job["status"], job["attempts"]) for job in jobs] == [("succeeded", 2)] * 2
    assert [[attempt["outcome"] for attempt in job["superseded_attempts"]] for job in jobs] == [["lost"]] * 2
    assert sorted(artifact["address"] for job in jobs for artifact in job["artifacts"]) == cogo.objects()


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox do not depend on the transport
@pytest.mark.root("only root cannot use the sandbox")
def test_root_without_no_sandbox_is_rejected(cogo: Terminal, enqueue: Enqueue) -> None:
    """The worker exits with a message that names NO_SANDBOX, without spending an attempt."""
    job_id = enqueue()
    with cogo.start("worker", BROWSER_REAL_MODE="true", NO_SANDBOX="") as worker:
        answer = worker.wait()
    assert (answer.code, "NO_SANDBOX=true" in answer.err.splitlines()[-1]) == (1, True)
    assert look(cogo, job_id)["attempts"] == 0


@pytest.mark.parametrize("way", ["postgres"])  # one worker over each transport
def test_a_stop_is_bounded_without_a_database(
    dsn: str, cogo: Terminal, stand_in: StandIn, enqueue: Enqueue, site: SlowSite
) -> None:
    """With an unresponsive database or project the process exits within the grace period plus ten seconds."""
    with proxied(dsn) as database, proxied(stand_in.url) as project:
        cogo.environment |= {"COGO_GRACE_SECONDS": "1", "COGO_CONCURRENCY": "1"}
        over_rest = {name: value for name, value in cogo.environment.items() if name != "COGO_DATABASE_URL"}
        over_rest |= {"SUPABASE_URL": project.dsn, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
        enqueue()
        with cogo.start("worker", COGO_DATABASE_URL=database.dsn) as direct:
            direct.until(lambda: site.requests == 1)
            enqueue()
            with replace(cogo, environment=over_rest).start("worker") as indirect:
                indirect.until(lambda: site.requests == 2)
                for proxy in (database, project):
                    proxy.silence(new_too=True)
                started_at = time.monotonic()
                for worker in (direct, indirect):
                    worker.send(signal.SIGTERM)
                for worker in (direct, indirect):
                    worker.wait()
        assert time.monotonic() - started_at < 1 + 10 + 2
