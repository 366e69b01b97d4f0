"""Dry runs change nothing: no row of any table, and no file except the plan."""

from pathlib import Path
from typing import Final

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.queue.scenes import one_of_each
from cogo_dagster_tests.rows import every_row
from docs.generate import commands

OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "retry failed": (),
    "replay dlq": (),
    "discard dlq": ("--reason", "fixed elsewhere"),
    "undo discard": (),
    "cancel jobs": ("--where", "status:running"),
    "recover leases": (),
    "cleanup artifacts": ("--ttl-days", "0"),
    "purge jobs": ("--ttl-days", "0"),
}


def test_every_command_with_a_dry_run_is_tested() -> None:
    """A new command with --dry-run must be added to OPTIONS."""
    with_dry_run = {
        name for name, command in commands().items() if any("--dry-run" in one.opts for one in command.params)
    }
    assert set(OPTIONS) == with_dry_run


@pytest.mark.parametrize("name", OPTIONS)
def test_a_dry_run_changes_no_table(cogo: Terminal, queue: Queue, dsn: str, tmp_path: Path, name: str) -> None:
    """A dry run, by option or by DRY_RUN, matches as many rows as the execution and changes none."""
    command, options = name.split(), OPTIONS[name]
    with psycopg.connect(dsn, autocommit=True) as owner:
        one_of_each(queue, owner)
        if name == "undo discard":
            discard = cogo.ok("discard", "dlq", *OPTIONS["discard dlq"], DRY_RUN="false")
            options = (discard["operation_id"],)
        cogo.run(*command, *options, "--dry-run")  # creates the folders of COGO_HOME
        before, files = every_row(owner), sorted(tmp_path.rglob("*"))
        found = cogo.ok(*command, *options, "--dry-run")
        assert cogo.ok(*command, *options, DRY_RUN="true")["matched"] == found["matched"] > 0
        assert every_row(owner) == before
        assert sorted(tmp_path.rglob("*")) == files
        done = cogo.ok(*command, *options, DRY_RUN="false")
        assert done["changed"] == found["matched"]
        assert every_row(owner) != before
