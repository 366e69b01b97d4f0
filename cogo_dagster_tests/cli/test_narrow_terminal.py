"""Tables on a terminal of 80 columns."""

import re

import pytest
from rich.cells import cell_len

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Job, JobError, NewJob, Outcome
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.queue.steps import running_job, settle

NARROW = {"COLUMNS": "80", "TTY_COMPATIBLE": "1", "FORCE_COLOR": "1"}
URL = "https://가게.example/상품/모든-상품-목록?페이지=1"
MESSAGE = "버튼을 찾을 수 없습니다: the page has no element that matches the selector #order after 30 s"
GATE = {"repository": "web", "branch": "feature/결제", "commit": "4f3a9c1d2e"}


def failed(queue: Queue) -> Job:
    """Return a job that failed permanently."""
    job = running_job(queue, payload={"url": URL})
    settle(queue, job, Outcome.FAILED, error=JobError("selector_not_found", MESSAGE, retryable=False))
    return job


def plain(text: str) -> list[str]:
    """Return the lines without colors."""
    return re.sub("\x1b\\[[0-9;]*m", "", text).splitlines()


@pytest.mark.parametrize(
    "command",
    [
        "list jobs",
        "list jobs --why",
        "list dlq",
        "list incidents",
        "list artifacts",
        "list workers",
        "list operations",
        "retry failed",
        "replay dlq --dry-run",
        "discard dlq",
        "alerts list",
        "alerts deliveries",
    ],
)
def test_tables_fit_80_columns(cogo: Terminal, queue: Queue, command: str) -> None:
    """No line is wider, counting Hangul as two columns, and type, error and IDs are readable."""
    job = failed(queue)
    lines = [line for line in plain(cogo.run(*command.split(), **NARROW).out) if "Nothing was changed" not in line]
    assert max(map(cell_len, lines)) <= 80, lines
    if any(word in command for word in ("jobs", "dlq", "failed")):
        row = next(line for line in lines if str(job.id)[-8:] in line)
        assert "browser " in row
        assert "https://가게" in row
        assert ("selector_n" in row) is ("--why" not in command)


def test_numbers_and_ids_of_a_narrow_table_are_complete(cogo: Terminal, queue: Queue) -> None:
    """Long names are shortened first: counts, costs and the digits by which a silence is ended stay readable."""
    commit, name = "4f3a9c1d2e55", "a-provider-with-a-very-long-name-in-europe"
    cogo.ok("gate", "record", "--status", "fail", "--branch", f"feature/{name}", "--commit", commit)
    cogo.ok("router", "add", name, "--capability", "image-understanding-of-pages", "--cost", "0.123456")
    cogo.ok("tokens", "create", f"{name}-of-the-checkout-team")
    silence = ("alerts", "silence", "--for", "2h", "--kind", "job_failed", "--subject", "browser", "--reason", name)
    silence_id = cogo.ok(*silence)["silence_id"]
    for command, expected in {
        "gate runs": ("feature/a-", commit, " fail ", "failed"),
        "router list": ("0.123456", "not probed", "latency", "checked"),
        "tokens list": ("viewer", "live", "never", "last used"),
        "alerts silences": (silence_id[-8:], "job_failed", "browser", "fingerprint"),
    }.items():
        lines = plain(cogo.run(*command.split(), **NARROW).out)
        assert max(map(cell_len, lines)) <= 80, lines
        assert all(text in "\n".join(lines) for text in expected), lines
    assert cogo.run("alerts", "unsilence", silence_id[-8:]).out == "Silence ended.\n"


def test_a_wide_terminal_shows_every_column(cogo: Terminal, queue: Queue) -> None:
    """From 120 columns on, IDs are whole, and times and attempts are shown."""
    job = failed(queue)
    head, row = plain(cogo.run("list", "jobs", **NARROW | {"COLUMNS": "200"}).out)
    assert head.split() == ["id", "type", "status", "attempts", "about", "next", "run", "created", "error"]
    assert str(job.id) in row


def test_the_last_digits_that_a_table_shows_name_the_job(cogo: Terminal, queue: Queue) -> None:
    """The ID of a narrow table can be copied into another command."""
    failed(queue)
    shown = plain(cogo.run("list", "jobs", **NARROW).out)[1].split()[0]
    assert cogo.ok("job", "show", shown)["subject"] == URL


def test_statuses_have_colors_on_a_terminal_only(cogo: Terminal, queue: Queue) -> None:
    """A failed job is red; NO_COLOR and pipes have no color."""
    failed(queue)
    assert "\x1b[31mfailed" in cogo.run("list", "jobs", **NARROW).out
    assert "\x1b[31m" not in cogo.run("list", "jobs", **NARROW, NO_COLOR="1").out
    assert "\x1b" not in cogo.run("list", "jobs").out


def test_documents_have_the_subject(cogo: Terminal, queue: Queue) -> None:
    """Jobs are about a URL, a file or repository, branch and commit; dead-lettered jobs too."""
    failed(queue)
    queue.enqueue([NewJob("figma", {"file_key": "AbC"}), NewJob("gate", GATE), NewJob("other", {"x": 1})])
    subjects = [row["subject"] for row in cogo.ok("list", "jobs")]
    assert subjects == [None, "web feature/결제 4f3a9c1d", "AbC", URL]
    assert [row["subject"] for row in cogo.ok("list", "dlq")] == [URL]


def test_filters_from_the_environment_are_named(cogo: Terminal) -> None:
    """The variables of a worker's environment file do not empty a list without a notice."""
    listed = cogo.run("list", "heartbeats", WORKER_ID="w-1")
    assert (listed.out, listed.err) == (
        "No heartbeats in the last day.\n",
        "From the environment: WORKER_ID=w-1 (--worker-id).\n",
    )
    retried = cogo.run("retry", "failed", EXECUTOR_ID="exec-2", TYPE_PREFIX="browser")
    assert "TYPE_PREFIX=browser (--type)" in retried.err
    assert "EXECUTOR_ID=exec-2 (--executor)" in retried.err
    assert cogo.run("list", "heartbeats", "--worker-id", "w-1", WORKER_ID="w-2").err == ""


@pytest.mark.parametrize("command", ["list jobs", "list dlq", "alerts list"])
def test_a_table_that_does_not_fit_shows_names_and_values(cogo: Terminal, queue: Queue, command: str) -> None:
    """On 40 columns, no line is wider, and each value is complete under its name instead of a few characters of it."""
    job = failed(queue)
    lines = plain(cogo.run(*command.split(), **(NARROW | {"COLUMNS": "40"})).out)
    assert max(map(cell_len, lines)) <= 40, lines
    if any(word in command for word in ("jobs", "dlq")):
        values = dict(line.split(maxsplit=1) for line in lines if line[:1].strip())
        assert str(job.id).endswith(values["id" if "jobs" in command else "job"].strip())
        assert values["type"].strip() == "browser"
        assert MESSAGE.replace(" ", "") in re.sub(r"\s", "", "".join(lines))
