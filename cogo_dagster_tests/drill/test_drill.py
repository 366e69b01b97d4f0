"""`cogo drill`: scenarios on a scratch database, and detection of broken guarantees."""

import contextlib
import socket
import threading
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cogo_dagster.drill.lost_replies import lose_replies
from cogo_dagster.drill.proxy import LossyProxy, _listener_at
from cogo_dagster.drill.scenarios import _invariants
from cogo_dagster.drill.scratch import DrillFailed, scratch
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.cli.terminal import terminal
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import running_job, settle
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE

GUARANTEES = {
    "nothing_is_lost",
    "a_crash_consumes_an_attempt",
    "a_stale_worker_is_refused",
    "a_letter_is_replayed_once",
    "a_lost_reply_does_nothing_twice",
    "nothing_hangs",
    "every_attempt_is_accounted_for",
    "every_artifact_is_there",
}
COUNT_DATABASES = "select count(*) from pg_database where datname = %s"


def test_the_drill_runs_on_the_configured_server(tmp_path: Path, dsn: str, queue: Queue) -> None:
    """Every guarantee holds, and the database of the queue is not changed."""
    answer = terminal(tmp_path, dsn, {}).run("drill", "--json")
    assert (answer.code, answer.json["held"], answer.json["database"]) == (0, True, "own"), answer
    assert "cogo_drill_" in answer.json["address"]
    assert f"on the server of COGO_DATABASE_URL: {answer.json['address']}" in answer.err
    assert {row["promise"] for row in answer.json["promises"]} == GUARANTEES
    assert queue.list_jobs() == []


def test_rest_keys_alone_are_rejected(tmp_path: Path) -> None:
    """A drill on the embedded server would not test the project."""
    keys = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
    answer = terminal(tmp_path, None, keys).run("drill")
    assert (answer.code, answer.out) == (2, "")
    assert (
        "set COGO_DATABASE_URL to run the drill on that server, or use --embedded to run it on a separate one"
        in " ".join(answer.err.split())
    )


def test_lost_replies_change_nothing_twice(dsn: str, queue: Queue, tmp_path: Path) -> None:
    """Each reply is lost after the commit, and the repeated call has no effect."""
    observation = lose_replies(queue, dsn, tmp_path)
    assert observation.held, observation
    assert observation.sentence == (
        "3 of 3 replies were lost after the commit; after the repeated calls there are 3 of 3 jobs with 3 attempts."
    )


def test_replies_are_lost_over_a_socket_file(dsn: str, queue: Queue, tmp_path: Path) -> None:
    """The server may listen on a socket file only."""
    port = int(str(conninfo_to_dict(dsn)["port"]))
    (tmp_path / "home").mkdir()
    with _listener_at(tmp_path / f".s.PGSQL.{port}") as listener:
        proxy = LossyProxy(lambda: socket.create_connection(("127.0.0.1", port)))
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        observation = lose_replies(queue, make_conninfo(dsn, host=str(tmp_path)), tmp_path / "home")
        listener.shutdown(socket.SHUT_RDWR)
    assert observation.held, observation


def test_a_repeated_effect_is_detected(dsn: str, queue: Queue, owner: Owner, tmp_path: Path) -> None:
    """An enqueue function without deduplication breaks the guarantee."""
    row = owner.execute("select pg_get_functiondef('public.enqueue_columns'::regproc)").fetchone()
    assert row
    owner.execute(row[0].replace("enqueue_columns.request_id", "gen_random_uuid()").encode())
    observation = lose_replies(queue, dsn, tmp_path)
    assert not observation.held
    assert "there are 6 of 3 jobs" in observation.sentence


def test_artifacts_are_verified_by_hash(tmp_path: Path, queue: Queue) -> None:
    """An object with the right name and size but other content is detected."""
    store = FolderStore(tmp_path / "artifacts")
    job = running_job(queue)
    bytes_of = {"same.txt": b"right", "other.txt": b"wrote"}
    files = [
        {
            "name": name,
            "content_type": "text/plain",
            "size_bytes": 5,
            "sha256": sha256(content).hexdigest(),
            "extension": "txt",
        }
        for name, content in bytes_of.items()
    ]
    created = queue.create_artifacts(job, files)
    for artifact, content in zip(created, (b"right", b"wrong"), strict=True):
        (tmp_path / "content").write_bytes(content)
        store.put(artifact.storage_key, tmp_path / "content", "text/plain")
    queue.finish_artifacts(job, [artifact.artifact_id for artifact in created])
    settle(queue, job)
    [observation] = [found for found in _invariants(queue, store) if found.promise == "every_artifact_is_there"]
    assert not observation.held
    assert observation.sentence == "1 of 2 artifacts are missing or do not match the recorded hash and size."


def test_broken_guarantees_are_reported(tmp_path: Path, queue: Queue, owner: Owner) -> None:
    """A running job, a missing attempt and a missing object are reported."""
    lost = running_job(queue)
    settle(queue, lost)
    owner.execute("update public.jobs set attempts = 3 where id = %s", (lost.id,))
    owner.execute(
        "insert into public.artifacts (job_id, status, name, storage_key) values (%s, 'ready', 'page.png', 'lost.png')",
        (lost.id,),
    )
    running_job(queue)
    observation = {found.promise: found.held for found in _invariants(queue, FolderStore(tmp_path / "artifacts"))}
    assert observation == {
        "nothing_hangs": False,
        "every_attempt_is_accounted_for": False,
        "every_artifact_is_there": False,
    }


def test_a_role_that_may_not_create_databases_is_rejected(dsn: str, owner: Owner) -> None:
    """The message names --embedded, and no database is left."""
    owner.execute("create role drill_unprivileged login password 'x'")
    try:
        with (
            pytest.raises(DrillFailed, match="use --embedded"),
            scratch(make_conninfo(dsn, user="drill_unprivileged", password="x")),
        ):
            pytest.fail("A database was created.")
    finally:
        owner.execute("drop role drill_unprivileged")


def test_the_scratch_database_is_dropped_after_an_error(dsn: str, owner: Owner) -> None:
    """It is dropped even if there is a connection."""
    with contextlib.suppress(ZeroDivisionError), scratch(dsn) as place, psycopg.connect(place.dsn):
        name = conninfo_to_dict(place.dsn)["dbname"]
        assert owner.execute(COUNT_DATABASES, (name,)).fetchone() == (1,)
        raise ZeroDivisionError
    assert owner.execute(COUNT_DATABASES, (name,)).fetchone() == (0,)
