"""Rows with invalid values: commands list them, and show the error in the place of the value."""

from pathlib import Path

import pytest

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.cli.terminal import Answer, Terminal
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.poisons import poison
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.servers import Major
from cogo_dagster_tests.web.scene import lived_in

UNLIMITED = (("list", "paused"), ("list", "limits"), ("alerts", "silences"))
LIMITED = (
    *(
        ("list", "jobs"),
        ("list", "jobs", "--why"),
        ("list", "workers"),
        ("list", "heartbeats"),
        ("list", "dlq", "--all"),
    ),
    *(("list", "artifacts"), ("list", "incidents"), ("list", "operations"), ("alerts", "list"), ("gate", "runs")),
)
LISTS = (*UNLIMITED, *((*command, "--limit", "1000") for command in LIMITED))


@pytest.fixture
def major() -> Major:
    """Return the version of PostgreSQL: 17 and later compute with infinite times, 15 and 16 raise."""
    return 15


@pytest.fixture
def poisoned(transport: Transport, queue: Queue, owner: Owner, dsn: str, tmp_path: Path) -> Owner:
    """Return a database with history and every invalid row that its constraints allow."""
    folder = tmp_path / "files"
    folder.mkdir()
    settings = load_settings(COGO_DATABASE_URL=dsn, COGO_HOME=str(tmp_path / "home"))
    store = FolderStore(tmp_path / "home" / "artifacts")
    lived_in(Application(settings, dsn, transport, queue, store).queue, store, folder)
    poison(owner)
    return owner


def test_every_list_and_job_is_shown(cogo: Terminal, poisoned: Owner) -> None:
    """Commands print all rows as tables and JSON, without control characters."""
    shown = {command: cogo.run(*command) for command in LISTS}
    shown |= {(*command, "--json"): cogo.run(*command, "--json") for command in LISTS}
    ids = poisoned.execute("select id::text from public.jobs order by random() limit 30").fetchall()
    shown |= {("job", "show", job_id): cogo.run("job", "show", job_id) for (job_id,) in ids}
    shown |= {("job", "show", job_id, "--json"): cogo.run("job", "show", job_id, "--json") for (job_id,) in ids[:10]}
    assert [(command, answer.err[:300]) for command, answer in shown.items() if answer.code != 0] == []
    assert [command for command, answer in shown.items() if "\x1b" in answer.out or "\x9b" in answer.out] == []
    assert "unreadable: the time 'infinity'" in shown["list", "jobs", "--limit", "1000"].out


def test_an_unreadable_value_is_shown_in_its_place(cogo: Terminal, queue: Queue, owner: Owner) -> None:
    """A time after the year 9999 and a number of 5,000 digits are shown beside valid values."""
    job = add(queue, payload={"url": "https://example.com/"})
    owner.execute("alter table public.jobs drop constraint if exists jobs_dates_known")
    owner.execute(
        'update public.jobs set created_at = \'11026-01-01 00:00+00\', payload = \'{"url": "x", "n": 1e5000}\''
    )
    answer: Answer = cogo.run("job", "show", str(job))
    assert answer.code == 0
    assert "unreadable: the time '11026-01-01T00:00:00+00:00'" in answer.out
    assert "a number of more than 300 digits" in answer.out
