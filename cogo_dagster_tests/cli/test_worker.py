"""`cogo worker` as a process of its own, signalled, stopped and killed in mid-job."""

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
    """Work over both transports, chosen by nothing but the environment."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def cogo(cogo: Terminal, site: SlowSite) -> Terminal:
    """A terminal whose workers may visit the slow page, over plain HTTP unless a test wants a browser."""
    cogo.environment |= {"NO_SANDBOX": "true", "BROWSER_ALLOWED_HOSTS": site.authority, "BROWSER_REAL_MODE": "false"}
    return cogo


@pytest.fixture
def enqueue(cogo: Terminal, site: SlowSite) -> Enqueue:
    """Add a job that ends when the page is answered."""
    return lambda: UUID(cogo.ok("enqueue", "browser", "--url", site.url)["job_id"])


def look(cogo: Terminal, job_id: UUID) -> Any:
    """Return the job as `cogo job show` prints it."""
    return cogo.ok("job", "show", str(job_id))


def is_back(cogo: Terminal, owner: Owner, job_id: UUID) -> None:
    """Hold a job against what a stopping worker leaves: queued, attempt given back, lease cleared, heartbeat ended."""
    row = owner.execute("select status, attempts, lease_token, lease_expires_at from jobs where id = %s", (job_id,))
    assert row.fetchone() == ("queued", 0, None, None)
    assert [worker["stopped_at"] is not None for worker in cogo.ok("list", "workers")] == [True]


def is_running(owner: Owner, job_id: UUID) -> bool:
    """Whether somebody holds the job."""
    row = owner.execute("select status from jobs where id = %s", (job_id,)).fetchone()
    return row == ("running",)


def test_max_jobs_ends_the_worker_after_so_many(cogo: Terminal, site: SlowSite, enqueue: Enqueue) -> None:
    """MAX_JOBS=2 with three jobs waiting: two are settled, the third is never claimed, exit 0."""
    site.answer.set()
    job_ids = [enqueue() for _ in range(3)]
    with cogo.start("worker", "--json", MAX_JOBS="2") as worker:
        answer = worker.wait()
    assert answer.code == 0
    assert answer.json["ended_because"] == "max_jobs"
    assert {name: count for name, count in answer.json["counters"].items() if count} == {"claimed": 2, "succeeded": 2}
    assert [look(cogo, job_id)["status"] for job_id in job_ids] == ["succeeded", "succeeded", "queued"]
    assert {json.loads(line)["kind"] for line in answer.err.splitlines()} >= {"started", "claimed", "settled"}


def test_a_drained_worker_ends(cogo: Terminal) -> None:
    """With nothing due, --drain ends at once and says so."""
    with cogo.start("worker", "--drain") as worker:
        answer = worker.wait()
    assert (answer.code, "(drained): no jobs" in answer.out) == (0, True)


def test_a_worker_serves_its_name_and_address(cogo: Terminal, site: SlowSite) -> None:
    """WORKER_ID names it; with EXECUTOR_ID it takes jobs addressed to it and leaves those of others."""
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


def test_sigterm_in_mid_job_gives_the_job_back(cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner) -> None:
    """In a real browser: after the grace the job is queued again, its attempt not consumed, its lease cleared."""
    job_id = enqueue()
    with cogo.start("worker", BROWSER_REAL_MODE="true", COGO_GRACE_SECONDS="0.5") as worker:
        worker.until(lambda: site.asked)
        worker.send(signal.SIGTERM)
        answer = worker.wait()
    assert answer.code == 0, answer
    is_back(cogo, owner, job_id)


def test_ctrl_c_lets_the_running_job_finish(cogo: Terminal, site: SlowSite, enqueue: Enqueue) -> None:
    """A terminal sends SIGINT to the browser too; the job succeeds all the same, within the grace."""
    job_id = enqueue()
    with cogo.start("worker", BROWSER_REAL_MODE="true") as worker:
        worker.until(lambda: site.asked)
        worker.send_to_group(signal.SIGINT)
        worker.until_said("Claiming ended")
        site.answer.set()
        answer = worker.wait()
    assert answer.code == 0, answer
    assert look(cogo, job_id)["status"] == "succeeded"


def test_the_second_signal_means_now(cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner) -> None:
    """However long the grace is."""
    job_id = enqueue()
    with cogo.start("worker", COGO_GRACE_SECONDS="3600") as worker:
        worker.until(lambda: site.asked)
        worker.send(signal.SIGTERM)
        worker.until_said("Claiming ended")
        worker.send(signal.SIGTERM)
        answer = worker.wait()
    assert answer.code == 0, answer
    is_back(cogo, owner, job_id)


IGNORED = ["", "HUP", "INT", "HUP INT QUIT"]
"""What the shell ignores because its own parent does: nothing, under nohup, in a background script, or both."""


def shell(ignored: str, line: str) -> list[str]:
    """The command that runs a line in a shell."""
    return ["sh", "-c", f"trap '' {ignored}\nexec sh -c \"$0\"" if ignored else 'exec sh -c "$0"', line]


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox have nothing to do with the transport
@pytest.mark.parametrize(
    ("line", "ignored"),
    [("'{cogo}' worker --json", ""), *(("'{cogo}' worker --json 2>&2 && exit 7", ignored) for ignored in IGNORED)],
)
def test_sigterm_reaches_a_worker_behind_a_shell(
    cogo: Terminal, enqueue: Enqueue, site: SlowSite, line: str, ignored: str
) -> None:
    """The shell dies of it and passes nothing on; the worker stops all the same and gives its job back."""
    job_id = enqueue()
    command = shell(ignored, line.format(cogo=PROGRAM))
    with cogo.start(command=command, COGO_GRACE_SECONDS="0") as process:
        process.until(lambda: site.asked)
        process.send(signal.SIGTERM)
        answer = process.wait()  # for the worker, which holds the shell's standard output
    assert (answer.json["ended_because"], answer.json["counters"]["requeued"]) == ("stopped", 1)
    assert look(cogo, job_id)["attempts"] == 0


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox have nothing to do with the transport
@pytest.mark.parametrize("ignored", IGNORED)
def test_a_background_worker_outlives_its_shell(cogo: Terminal, enqueue: Enqueue, site: SlowSite, ignored: str) -> None:
    """`sh -c 'cogo worker &'` ends at once, and the job is done."""
    site.answer.set()
    job_id = enqueue()
    with cogo.start(command=shell(ignored, f"'{PROGRAM}' worker --json &"), MAX_JOBS="1") as process:
        assert process.wait().json["ended_because"] == "max_jobs"
    assert look(cogo, job_id)["status"] == "succeeded"


def test_a_signal_during_start_up_ends_it(cogo: Terminal) -> None:
    """While the database has not even answered the first connection."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        dsn = f"postgresql://nobody@127.0.0.1:{mute.getsockname()[1]}/x"
        with cogo.start("worker", "--json", COGO_DATABASE_URL=dsn) as worker:
            connection, _ = mute.accept()
            with connection:
                worker.send(signal.SIGTERM)
                answer = worker.wait()
    assert (answer.code, answer.json["ended_because"], answer.err) == (0, "stopped", "")


def test_what_a_killed_worker_held_is_done_by_another(
    cogo: Terminal, site: SlowSite, enqueue: Enqueue, owner: Owner, age: Age
) -> None:
    """After kill -9 the lease runs out, the next worker recovers it and finishes the job with a second attempt."""
    job_id = enqueue()
    with cogo.start("worker", COGO_LEASE_SECONDS="5") as killed:
        killed.until(lambda: site.asked)
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


def test_a_worker_that_slept_through_its_lease_is_refused(
    cogo: Terminal, site: SlowSite, enqueue: Enqueue, age: Age
) -> None:
    """SIGSTOP past the lease: another does the job; back again, the first is refused, counts it, leaves nothing."""
    job_id = enqueue()
    with cogo.start("worker", "--json", COGO_LEASE_SECONDS="5") as sleeper:
        sleeper.until(lambda: site.asked)
        sleeper.send(signal.SIGSTOP)
        age(job_id, 6)
        assert cogo.ok("recover", "leases")["requeued"] == 1
        site.answer.set()
        with cogo.start("worker", MAX_JOBS="1") as second:
            assert second.wait().code == 0
        done = look(cogo, job_id)
        sleeper.send(signal.SIGCONT)
        sleeper.until_said('"lease_lost"')
        sleeper.send(signal.SIGTERM)
        answer = sleeper.wait()
    assert (answer.code, answer.json["counters"]["lease_lost"], answer.json["counters"]["succeeded"]) == (0, 1, 0)
    assert done["status"] == "succeeded"
    assert look(cogo, job_id) == done
    assert [artifact["address"] for artifact in done["artifacts"]] == cogo.objects()


@pytest.mark.parametrize("way", ["postgres"])  # signals and the sandbox have nothing to do with the transport
@pytest.mark.root("only root is refused the sandbox")
def test_root_is_told_about_the_sandbox(cogo: Terminal, enqueue: Enqueue) -> None:
    """The worker refuses to start, and no job pays for it."""
    job_id = enqueue()
    with cogo.start("worker", BROWSER_REAL_MODE="true", NO_SANDBOX="") as worker:
        answer = worker.wait()
    assert (answer.code, "NO_SANDBOX=true" in answer.err.splitlines()[-1]) == (1, True)
    assert look(cogo, job_id)["attempts"] == 0


def test_a_closed_log_does_not_end_the_worker(cogo: Terminal, site: SlowSite, enqueue: Enqueue) -> None:
    """Whoever read standard error is gone; the job is done all the same."""
    site.answer.set()
    job_id = enqueue()
    script = (
        "import os, subprocess, sys; r, w = os.pipe(); os.close(r); sys.exit(subprocess.call(sys.argv[1:], stderr=w))"
    )
    with cogo.start(command=[sys.executable, "-c", script, str(PROGRAM), "worker"], MAX_JOBS="1") as worker:
        assert worker.wait().code == 0
    assert look(cogo, job_id)["status"] == "succeeded"


def test_a_stop_ends_in_time_although_the_database_never_answers(
    dsn: str, cogo: Terminal, enqueue: Enqueue, site: SlowSite
) -> None:
    """The connections stay open and silent: after the grace period and ten seconds at most the process is gone."""
    enqueue()
    with proxied(dsn) as proxy:
        with cogo.start("worker", COGO_DATABASE_URL=proxy.dsn, COGO_GRACE_SECONDS="1") as worker:
            worker.until(lambda: site.asked)
            proxy.silence(new_too=True)
            began_at = time.monotonic()
            worker.send(signal.SIGTERM)
            worker.wait()
        assert time.monotonic() - began_at < 1 + 10 + 2
