"""The sizes in docs/deploy.md are those of the model, and the model grows with the load."""

from itertools import pairwise

from benchmarks.sizing import DAYS, Load, size_of, table
from cogo_dagster.settings import PROJECT_ROOT


def test_the_page_has_the_table_of_the_model() -> None:
    """A changed measurement changes the page."""
    assert table([Load(count) for count in DAYS]) in (PROJECT_ROOT / "docs" / "deploy.md").read_text()


def test_more_jobs_need_more() -> None:
    """No number decreases with the load, and an almost idle deployment has one worker."""
    sizes = [size_of(Load(count)) for count in (1, *DAYS)]
    assert sizes[0].workers == 1
    for less, more in pairwise(sizes):
        assert less.workers <= more.workers
        assert less.database_bytes < more.database_bytes
        assert less.wal_bytes_a_day < more.wal_bytes_a_day


def test_slots_cover_the_busiest_hour() -> None:
    """The slots of all workers are at least the jobs that run at the same time."""
    load = Load(864_000, seconds=5, peak=2, slots=8)
    assert size_of(load).workers == 13
    assert size_of(load).connections == 13 * 9
