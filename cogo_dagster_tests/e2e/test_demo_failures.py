"""`cogo demo` if something is missing or a job fails: one message, and no queued jobs remain."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster_tests.cli.terminal import Answer, eventually
from cogo_dagster_tests.e2e.system import Home, a_home
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.forks import PROGRAM

pytestmark = pytest.mark.e2e


NODE = """#!/bin/sh
echo >> {counted}
[ "$(wc -l < {counted})" -le {works} ] || exit 7
exec {node} "$@"
"""

SEVERAL = """
import json, logging, os, sys
from cogo_dagster.cli import main
codes = os.dup(1)
for place, (environment, words) in enumerate(json.loads(sys.argv[1])):
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{place}.{name}", os.O_CREAT | os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
    code = main(["demo", *words])
    sys.stdout.flush()
    logging.getLogger().handlers.clear()
    os.write(codes, b"%d\\n" % code)
"""
"""Runs demos in one process, each with its own environment, arguments and output, and prints their exit codes."""


@pytest.fixture(scope="module")
def home(site: Site) -> Iterator[Home]:
    """Return a home folder whose server runs until the last test."""
    with a_home(site) as home, EmbeddedServer(home.folder).running():
        yield home


@contextmanager
def demo(home: Home, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Start the demo with additional settings; kill its processes at the end."""
    process = subprocess.Popen(
        [PROGRAM, "demo"],
        env=home.environment | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def ended(process: "subprocess.Popen[str]") -> Answer:
    """Wait for the process to end."""
    out, err = process.communicate(timeout=120)
    return Answer(process.returncode, out, err)


def jobs(home: Home) -> list[tuple[str, str | None]]:
    """Return the status and executor id of each job in the order of their creation."""
    with psycopg.connect(EmbeddedServer(home.folder).dsn()) as connection:
        return connection.execute("select status, executor_id from public.jobs order by created_at").fetchall()


@dataclass(frozen=True)
class Demos:
    """The answers of demos that ran one after another.

    Attributes:
        without_browser: No browser is installed.
        failed_run: The driver of the browser ends after the first start.
        broken_page: The page returns 500.
    """

    without_browser: Answer
    failed_run: Answer
    broken_page: Answer


@pytest.fixture(scope="module")
def demos(home: Home, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Demos:
    """Run demos in one process, since the import of Dagster takes most of their time."""
    from cogo_dagster.executors.browser.node import node_program  # noqa: PLC0415 - reads the environment

    folder = tmp_path_factory.mktemp("demos")
    node = folder / "node"
    node.write_text(NODE.format(counted=folder / "counted", works=2, node=node_program()))
    node.chmod(0o755)
    runs: list[tuple[dict[str, str], list[str]]] = [
        ({"BROWSER_CHANNEL": "/nowhere/chromium"}, []),
        ({"PLAYWRIGHT_NODEJS_PATH": str(node)}, []),
        ({}, ["--url", site.url("/status/500")]),
    ]
    given = json.dumps([(home.environment | environment, words) for environment, words in runs])
    command = [sys.executable, "-c", SEVERAL, given]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=True)
    codes = map(int, done.stdout.split())
    answers = [
        Answer(code, *((folder / f"{place}.{name}").read_text() for name in ("out", "err")))
        for place, code in enumerate(codes)
    ]
    return Demos(*answers)


def test_without_a_browser_nothing_is_enqueued(demos: Demos, home: Home) -> None:
    """The error message is the last line and printed once; all jobs are those of the other demos."""
    answer = demos.without_browser
    assert answer.code == 1
    assert answer.err.count("/nowhere/chromium") == 1
    assert answer.err.strip().splitlines()[-1].startswith("BROWSER_CHANNEL is /nowhere/chromium")
    assert answer.out == ""
    assert len(jobs(home)) == 4


def test_a_run_that_fails_leaves_no_jobs(demos: Demos, home: Home) -> None:
    """An error after enqueueing is printed although Dagster captures the step's output, and the jobs are cancelled."""
    answer = demos.failed_run
    assert answer.code == 1, answer
    assert "Next:" not in answer.out
    last = answer.err.strip().splitlines()[-1]
    assert "The Dagster run failed: Playwright's driver does not start" in last
    assert "ExecutorUnavailable" not in answer.err
    left = jobs(home)[:3]
    assert [status for status, _ in left] == ["cancelled"] * 3
    assert all(executor_id and executor_id.startswith("demo-") for _, executor_id in left)


def test_the_demo_of_a_broken_page_fails_with_a_message(demos: Demos, home: Home, site: Site) -> None:
    """If a page returns 500, the demo exits with 1, and its last line names the page and the status."""
    answer = demos.broken_page
    assert answer.code == 1
    last = answer.err.strip().splitlines()[-1]
    assert "1 of 1 job did not succeed" in last
    assert site.url("/status/500") in last
    assert "responded with 500." in last
    assert "Traceback" not in answer.err
    assert [status for status, _ in jobs(home)[3:]] == ["failed"]


@pytest.mark.usefixtures("demos")  # they create the schema
def test_ctrl_c_ends_an_installation(home: Home, tmp_path: Path) -> None:
    """SIGINT ends the installation of the browser within seconds, with one line and no jobs."""
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\n[ $1 = --version ] && exit\necho $$ > {tmp_path}/pid\nexec sleep 300\n")
    node.chmod(0o755)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "sleep", "env"):
        (programs / name).symlink_to(shutil.which(name) or "")
    given = {"PLAYWRIGHT_NODEJS_PATH": str(node), "PATH": str(programs), "HOME": str(tmp_path)}
    before = jobs(home)
    with demo(home, BROWSER_CHANNEL="chromium", **given) as process:
        eventually((tmp_path / "pid").exists, 60)
        os.killpg(process.pid, signal.SIGINT)
        answer = ended(process)
    assert answer.code == 130, answer
    assert "The demo was interrupted" in answer.err.strip().splitlines()[-1]
    assert "Traceback" not in answer.err
    assert jobs(home) == before


def test_log_lines_reach_the_terminal_if_standard_error_is_captured() -> None:
    """Dagster redirects standard error for the log of a step; the worker's log uses a duplicate."""
    program = (
        "import os; from cogo_dagster.cli.worker_log import WorkerLog\n"
        "log = WorkerLog(as_json=False); log.attach(); os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n"
        "log.line('seen', 'through the duplicate')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "through the duplicate" in done.stderr
