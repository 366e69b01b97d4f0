"""Which database the settings select, and which part of its URL is shown."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from cogo_dagster.bootstrap import (
    open_application,
    own_dsn,
    without_password,
    worker_options,
)
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.errors import DatabaseUnavailable, SchemaOutOfDate, SchemaTooNew
from cogo_dagster.queue.model import NewJob
from cogo_dagster.settings import SettingsError, load_settings
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import swept_home
from cogo_dagster_tests.supabase.keys import SECRET_KEY
from cogo_dagster_tests.supabase.server import StandIn, supabase
from cogo_dagster_tests.worker.faults import proxied

OWN = "postgresql://me:secret@db:5432/cogo"
SUPABASE = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": "key"}
NOTHING: dict[str, Any] = dict.fromkeys(("COGO_DATABASE_URL", *SUPABASE), "")


def test_the_default_is_the_embedded_database() -> None:
    """Without a URL the database is the one below COGO_HOME."""
    assert load_settings(**NOTHING).uses_embedded_database


@pytest.mark.parametrize("supabase", [{}, SUPABASE], ids=["alone", "with supabase"])
def test_a_configured_database_is_used(supabase: dict[str, str]) -> None:
    """COGO_DATABASE_URL is the queue's database, even if the REST keys are set too."""
    settings = load_settings(**{**NOTHING, **supabase, "COGO_DATABASE_URL": OWN})
    assert not settings.uses_embedded_database
    assert own_dsn(settings) == OWN


def test_rest_keys_alone_open_the_queue_over_rest(dsn: str, tmp_path: Path) -> None:
    """With only the two variables, queue and artifacts are the project's, and there is no database URL."""
    with supabase(dsn) as stand_in:
        settings = load_settings(**{**NOTHING, **_keys(stand_in), "COGO_HOME": str(tmp_path)})
        with open_application(settings) as application:
            assert application.queue.stats().document["ready"] == 0
            assert (application.dsn, application.public_dsn) == (None, stand_in.url)
            (tmp_path / "a.txt").write_text("hello")
            stored = application.store.put("jobs/a/a.txt", tmp_path / "a.txt", "text/plain")
            assert stored.size_bytes == 5
            assert stand_in.addresses() == [application.store.address("jobs/a/a.txt")]
        with pytest.raises(SettingsError, match="set COGO_DATABASE_URL"):
            own_dsn(settings)
        assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"], "No embedded server was started for it."


def test_one_connection_checks_a_configured_database(dsn: str, tmp_path: Path) -> None:
    """Its release, and whether a pooler is in between; a second connection takes longer than most commands."""
    with proxied(dsn) as proxy:
        settings = load_settings(**{**NOTHING, "COGO_DATABASE_URL": proxy.dsn, "COGO_HOME": str(tmp_path)})
        with open_application(settings) as application:
            assert proxy.connections == 1
            assert not application.pooled


def test_a_configured_database_with_the_keys_stores_artifacts_in_storage(dsn: str, tmp_path: Path) -> None:
    """The queue uses the connection, and artifacts the bucket in the settings."""
    with supabase(dsn) as stand_in:
        given: dict[str, Any] = {**NOTHING, **_keys(stand_in), "COGO_DATABASE_URL": dsn}
        given |= {"COGO_ARTIFACT_BUCKET": "mine", "COGO_ARTIFACT_BUCKET_CREATE": "true"}
        with open_application(load_settings(**given)) as application:
            (tmp_path / "a.txt").write_text("hello")
            application.store.put("jobs/a/a.txt", tmp_path / "a.txt", "text/plain")
            assert application.dsn == dsn
        assert "jobs/a/a.txt" in stand_in.storage.buckets["mine"].objects
        assert stand_in.faults.paths("/rest/v1") == []


def test_a_project_that_is_not_migrated_is_reported(empty_dsn: str) -> None:
    """Since there is no connection to migrate over, the message names the script."""
    with (
        supabase(empty_dsn) as stand_in,
        pytest.raises(SchemaOutOfDate, match="`cogo db sql`"),
        open_application(load_settings(**{**NOTHING, **_keys(stand_in)})),
    ):
        pass


@pytest.mark.parametrize(
    ("release", "error", "remedy"), [(1, SchemaOutOfDate, "`cogo db sql`"), (999, SchemaTooNew, "update the code")]
)
def test_a_project_of_another_release_is_rejected(
    dsn: str, owner: Owner, release: int, error: type[Exception], remedy: str
) -> None:
    """An older and a newer release are rejected, as over a connection."""
    owner.execute("update public.deployment set release = %s, oldest_client_release = %s", (release, release))
    with (
        supabase(dsn) as stand_in,
        pytest.raises(error, match=remedy),
        open_application(load_settings(**{**NOTHING, **_keys(stand_in)})),
    ):
        pass


def _keys(stand_in: StandIn) -> dict[str, str]:
    return {"SUPABASE_URL": stand_in.url, "SUPABASE_SERVICE_ROLE_KEY": SECRET_KEY}


def test_the_embedded_database_is_migrated_and_stopped_by_its_last_user() -> None:
    """Opening the application starts and migrates it; closing stops it."""
    with swept_home("bootstrap") as home:
        settings = load_settings(**{**NOTHING, "COGO_HOME": str(home)})
        with open_application(settings) as application:
            assert application.queue.stats().document["ready"] == 0
            assert EmbeddedServer(home).status().running
            assert application.public_dsn.startswith("postgresql://cogo@127.0.0.1:")
        assert not EmbeddedServer(home).status().running


def test_a_configured_database_is_not_migrated_automatically(empty_dsn: str) -> None:
    """Opening it raises an error with the command to run, and changes nothing."""
    settings = load_settings(**{**NOTHING, "COGO_DATABASE_URL": empty_dsn})
    with pytest.raises(SchemaOutOfDate, match="cogo db migrate"), open_application(settings):
        pass


def test_an_unreachable_database_is_reported_at_once() -> None:
    """The message has host and port, and no password."""
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
def test_a_url_is_shown_without_its_password(dsn: str, shown: str) -> None:
    """For every form of a connection string, everything else is shown."""
    assert sorted(without_password(dsn).split()) == sorted(shown.split())


def test_the_worker_uses_the_settings(tmp_path: Path) -> None:
    """Concurrency, lease, grace period and limits are set; heartbeats are sent at least as often as renewals."""
    given: dict[str, Any] = {
        "COGO_CONCURRENCY": "7",
        "COGO_LEASE_SECONDS": "12",
        "COGO_GRACE_SECONDS": "3",
        "MAX_JOBS": "5",
        "COGO_UNKNOWN_OBJECT_TTL_HOURS": "2",
    }
    options = worker_options(load_settings(**NOTHING, **given))
    assert (options.concurrency, options.lease_seconds, options.grace_seconds, options.max_jobs) == (7, 12, 3, 5)
    assert (options.heartbeat_seconds, options.unknown_object_seconds) == (4, 7_200)


def test_a_payload_limit_in_the_settings_applies_to_all_callers(dsn: str, tmp_path: Path, owner: Owner) -> None:
    """COGO_MAX_PAYLOAD_BYTES is stored in the database, so that it applies to plain SQL too."""
    settings = load_settings(COGO_DATABASE_URL=dsn, COGO_HOME=str(tmp_path), COGO_MAX_PAYLOAD_BYTES="2000")
    with open_application(settings) as application:
        application.queue.enqueue([NewJob("browser", {"text": "x" * 1_900})])
    with pytest.raises(psycopg.Error, match="2000"):
        owner.execute("""select enqueue_jobs(jsonb_build_array(jsonb_build_object(
            'type', 'browser', 'payload', jsonb_build_object('text', repeat('x', 2100)))))""")
