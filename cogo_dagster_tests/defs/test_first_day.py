"""The first day of the partitions."""

from datetime import UTC, date, datetime
from pathlib import Path

from cogo_dagster.dagster_support.first_day import first_day
from cogo_dagster.settings import Settings, load_settings
from cogo_dagster_tests.conftest import Owner


def settings_of(dsn: str, home: Path, **more: str) -> Settings:
    """Return settings for a database."""
    return load_settings(None, **{"COGO_DATABASE_URL": dsn, "COGO_HOME": str(home), **more})


def today() -> date:
    """Return the current UTC day."""
    return datetime.now(UTC).date()


def test_the_setting_takes_precedence(tmp_path: Path) -> None:
    """COGO_FIRST_DAY is used without a database."""
    nowhere = "postgresql://user@127.0.0.1:1/nothing"
    assert first_day(settings_of(nowhere, tmp_path, COGO_FIRST_DAY="2026-03-04")) == date(2026, 3, 4)


def test_the_first_day_is_that_of_the_creation_of_the_deployment(dsn: str, tmp_path: Path, owner: Owner) -> None:
    """A new database begins today; one with older gate runs on the day of the first."""
    assert first_day(settings_of(dsn, tmp_path)) == today()
    owner.execute("update deployment set created_at = '2026-05-06 23:59:59+00'")
    assert first_day(settings_of(dsn, tmp_path)) == date(2026, 5, 6)
    owner.execute(
        "insert into gate_runs (id, type, status, branch, commit_sha, created_at) "
        "values (gen_random_uuid(), 'gate', 'pass', 'main', repeat('a', 40), '2026-04-01')"
    )
    assert first_day(settings_of(dsn, tmp_path)) == date(2026, 4, 1)


def test_the_last_known_day_is_used_while_the_database_is_unreachable(dsn: str, tmp_path: Path, owner: Owner) -> None:
    """The day is kept in a file; an older schema without the function counts as unreachable too."""
    owner.execute("update deployment set created_at = '2026-05-06'")
    settings = settings_of(dsn, tmp_path)
    assert first_day(settings) == date(2026, 5, 6)
    owner.execute("drop function first_day()")
    assert first_day(settings) == date(2026, 5, 6)
    assert first_day(settings_of(f"{dsn}x", tmp_path)) == today()


def test_without_a_running_embedded_server_no_server_is_started(tmp_path: Path) -> None:
    """Loading the definitions in a new clone begins the partitions today, and starts nothing."""
    assert first_day(load_settings(None, COGO_DATABASE_URL="", SUPABASE_URL="", COGO_HOME=str(tmp_path))) == today()
    assert not (tmp_path / "postgres").exists()
