"""Which database the settings choose, and what of its address may be shown."""

from pathlib import Path
from typing import Any

import pytest

from cogo_dagster.bootstrap import (
    open_application,
    own_dsn,
    uses_embedded_database,
    without_password,
    worker_options,
)
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.errors import DatabaseUnavailable, SchemaOutOfDate
from cogo_dagster.settings import SettingsError, load_settings
from cogo_dagster_tests.servers import swept_home

OWN = "postgresql://me:secret@db:5432/cogo"
SUPABASE = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": "key"}
NOTHING: dict[str, Any] = dict.fromkeys(("COGO_DATABASE_URL", *SUPABASE), "")


def test_nothing_given_is_the_embedded_database() -> None:
    """Without any address the database is the one below COGO_HOME."""
    assert uses_embedded_database(load_settings(**NOTHING))


@pytest.mark.parametrize("supabase", [{}, SUPABASE], ids=["alone", "with supabase"])
def test_a_database_of_ones_own_is_used(supabase: dict[str, str]) -> None:
    """COGO_DATABASE_URL is the queue's database, also where the REST keys are given."""
    settings = load_settings(**{**NOTHING, **supabase, "COGO_DATABASE_URL": OWN})
    assert not uses_embedded_database(settings)
    assert own_dsn(settings) == OWN


def test_rest_keys_alone_are_refused_not_ignored() -> None:
    """This release needs an address to connect to: the message says which variable is missing."""
    settings = load_settings(**{**NOTHING, **SUPABASE})
    assert not uses_embedded_database(settings)
    with pytest.raises(SettingsError, match="set COGO_DATABASE_URL"), open_application(settings):
        pass


def test_the_embedded_database_comes_migrated_and_goes_with_its_last_user() -> None:
    """Opening the application starts and migrates it; closing stops it."""
    with swept_home("bootstrap") as home:
        settings = load_settings(**{**NOTHING, "COGO_HOME": str(home)})
        with open_application(settings) as application:
            assert application.queue.stats()["ready"] == 0
            assert EmbeddedServer(home).status().running
            assert application.public_dsn.startswith("postgresql://cogo@127.0.0.1:")
        assert not EmbeddedServer(home).status().running


def test_a_database_of_ones_own_is_not_migrated_unasked(empty_dsn: str) -> None:
    """Opening it says what to run instead of changing it."""
    settings = load_settings(**{**NOTHING, "COGO_DATABASE_URL": empty_dsn})
    with pytest.raises(SchemaOutOfDate, match="cogo db migrate"), open_application(settings):
        pass


def test_a_database_that_is_not_there_is_told_at_once() -> None:
    """The sentence has host and port, not the password."""
    settings = load_settings(**{**NOTHING, "COGO_DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/cogo"})
    with pytest.raises(DatabaseUnavailable) as refused, open_application(settings):
        pass
    assert "127.0.0.1" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://me:secret@db:5432/cogo", "postgresql://me@db:5432/cogo"),
        ("postgresql://me@db/cogo", "postgresql://me@db/cogo"),
        ("postgresql://db/cogo", "postgresql://db/cogo"),
        ("postgresql://me:secret@db/cogo?sslmode=require&password=secret", "postgresql://me@db/cogo"),
        ("postgresql://me:sec%40ret@db/cogo", "postgresql://me@db/cogo"),
        ("postgresql://me:sec@ret@db/cogo", "postgresql://me@db/cogo"),
        ("postgresql://me:secret@[::1]:5432/cogo", "postgresql://me@[::1]:5432/cogo"),
        ("postgresql://me:secret@a:1,b:2/cogo", "postgresql://me@a:1,b:2/cogo"),
        ("host=db user=me password=secret dbname=cogo", "host=db user=me dbname=cogo"),
        ("host=db password='secret with spaces' dbname=cogo", "host=db dbname=cogo"),
        ("host=db password = secret dbname=cogo", "host=db dbname=cogo"),
        ("host=db sslpassword=secret dbname=cogo", "host=db dbname=cogo"),
    ],
)
def test_an_address_is_shown_without_its_password(dsn: str, shown: str) -> None:
    """In each form an address can be written, everything else stays readable."""
    assert sorted(without_password(dsn).split()) == sorted(shown.split())


def test_the_worker_works_by_the_settings(tmp_path: Path) -> None:
    """Concurrency, lease, grace and limit come from the environment; heartbeats are not slower than renewals."""
    given: dict[str, Any] = {
        "COGO_CONCURRENCY": "7",
        "COGO_LEASE_SECONDS": "12",
        "COGO_GRACE_SECONDS": "3",
        "MAX_JOBS": "5",
    }
    options = worker_options(load_settings(**NOTHING, **given))
    assert (options.concurrency, options.lease_seconds, options.grace_seconds, options.max_jobs) == (7, 12, 3, 5)
    assert options.heartbeat_seconds == 4
