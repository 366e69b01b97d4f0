"""Output on a terminal: Markdown without its markup, and forced successes."""

import contextlib
import os
import pty
from itertools import pairwise
from unittest import mock

import pytest

from cogo_dagster.cli.command import echo_markdown
from cogo_dagster.executors.browser.executor import forced
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.queue.steps import running_job, settle

MARKDOWN = (
    "# Week 2026-W47\n\n**Passed** 7 of 9 runs, see [the gate](https://ops.example.com/gate).\n\n```\na  1\n```\n"
)


def printed(text: str = MARKDOWN, *, on_terminal: bool) -> str:
    """Return the output of `echo_markdown` on a terminal or a pipe."""
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    with os.fdopen(ours, "rb", buffering=0) as read:
        with (
            os.fdopen(theirs, "w") as written,
            mock.patch.dict(os.environ, {"COLUMNS": "80", "TERM": "dumb"}),
            contextlib.redirect_stdout(written),
        ):
            echo_markdown(text)
        return read.read(65_536).decode().replace("\r\n", "\n")


def test_a_terminal_shows_markdown_without_its_markup() -> None:
    """Headings, bold text, links and code blocks are printed as plain text."""
    text = printed(on_terminal=True)
    assert "Week 2026-W47" in text
    assert "Passed 7 of 9 runs, see the gate (https://ops.example.com/gate)." in text
    assert "a  1" in text
    assert not any(mark in text for mark in ("#", "**", "](", "```"))


def test_a_terminal_breaks_long_lines_of_markdown_between_words() -> None:
    """No word is cut at the edge of the terminal, and no line is wider than it."""
    lines = printed("**Passed** " + "sentence " * 30, on_terminal=True).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert {word for line in lines for word in line.split()} == {"Passed", "sentence"}


def test_a_terminal_keeps_the_columns_of_a_table() -> None:
    """A long text is continued in its own column, beside the numbers; there are no two empty lines in succession."""
    long = "goto https://shop.example.com/cart: the server responded with 502 after " + "a while " * 8
    table = f"Text\n\n| failures | count |\n|---|---:|\n| {long} | 12 |\n| dns | 3 |\n\nEnd\n"
    lines = printed(table, on_terminal=True).rstrip("\n").split("\n")
    assert max(map(len, lines)) <= 80
    assert [line.split()[-1] for line in lines if line.endswith(("count", "12", "3"))] == ["count", "12", "3"]
    assert len({len(line) for line in lines if line.endswith(("count", "12", "3"))}) == 1
    assert not any(not line and not following for line, following in pairwise(lines))


def test_a_pipe_gets_unchanged_markdown() -> None:
    """Output to another program keeps the markup."""
    assert printed(on_terminal=False) == f"{MARKDOWN}\n"


@pytest.mark.parametrize("way", ["postgres"])
def test_a_forced_success_is_marked(cogo: Terminal, queue: Queue) -> None:
    """The table shows `succeeded (forced)` and complete IDs; the document has `forced`."""
    job = running_job(queue)
    error = ExecutionFailed("The page answered 502.", error_class="http_status", retryable=True)
    settle(queue, job, result=forced(error))
    table = cogo.run("list", "jobs").out
    assert "succeeded (forced)" in table
    assert table.splitlines()[1].startswith(f"{job.id} ")
    [row] = cogo.ok("list", "jobs")
    assert row["forced"] is True


def test_a_piped_table_has_one_line_per_row(cogo: Terminal) -> None:
    """Neither a list nor the doctor's findings are wrapped or padded in a pipe, at any width of the terminal."""
    for command in ("list limits", "doctor"):
        lines = cogo.run(*command.split(), COLUMNS="40").out.splitlines()
        assert [line for line in lines if line != line.rstrip()] == []
    starts = {line.split()[0] for line in lines}
    assert starts <= {"ok", "warning", "failed", "not", "→"}, lines


def test_a_value_from_the_environment_is_named_as_it_was_given(cogo: Terminal) -> None:
    """The message on standard error has the text of the variable, not its parsed form."""
    said = cogo.run("purge", "jobs", JOB_TTL_DAYS="7").err
    assert said == "From the environment: JOB_TTL_DAYS=7 (--ttl-days).\n"
