"""The commands' dry runs write nothing: not a row of any table, not a file but the plan."""

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
    "recover leases": (),
    "cleanup artifacts": ("--ttl-days", "0"),
    "purge jobs": ("--ttl-days", "0"),
}


def test_no_command_with_a_dry_run_is_left_out() -> None:
    """One that is added is tried too."""
    able = {name for name, command in commands().items() if any("--dry-run" in one.opts for one in command.params)}
    assert set(OPTIONS) == able


@pytest.mark.parametrize("name", OPTIONS)
def test_a_dry_run_leaves_every_table_as_it_is(
    cogo: Terminal, queue: Queue, dsn: str, tmp_path: Path, name: str
) -> None:
    """By its option and by DRY_RUN; the real run finds as much and changes it."""
    words, options = name.split(), OPTIONS[name]
    with psycopg.connect(dsn, autocommit=True) as owner:
        one_of_each(queue, owner)
        cogo.run(*words, *options, "--dry-run")  # makes the folders of COGO_HOME
        before, files = every_row(owner), sorted(tmp_path.rglob("*"))
        found = cogo.ok(*words, *options, "--dry-run")
        assert cogo.ok(*words, *options, DRY_RUN="true")["matched"] == found["matched"] > 0
        assert every_row(owner) == before
        assert sorted(tmp_path.rglob("*")) == files
        done = cogo.ok(*words, *options, DRY_RUN="false")
        assert done["changed"] == found["matched"]
        assert every_row(owner) != before
