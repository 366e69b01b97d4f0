"""`cogo drill`: real kills on a database that is removed, and a report that can say no."""

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

PROMISES = {
    "nothing_is_lost",
    "a_crash_consumes_an_attempt",
    "a_stale_worker_is_refused",
    "a_letter_is_replayed_once",
    "a_lost_reply_does_nothing_twice",
    "nothing_hangs",
    "every_attempt_is_accounted_for",
    "every_artifact_is_there",
}
NAMED = "select count(*) from pg_database where datname = %s"


def test_the_drill_is_held_on_the_same_server(tmp_path: Path, dsn: str, queue: Queue) -> None:
    """Every promise holds, and the queue's own database was not touched."""
    answer = terminal(tmp_path, dsn, {}).run("drill", "--json")
    assert (answer.code, answer.json["held"], answer.json["database"]) == (0, True, "own"), answer
    assert "cogo_drill_" in answer.json["address"]
    assert f"on the server of COGO_DATABASE_URL: {answer.json['address']}" in answer.err
    assert {row["promise"] for row in answer.json["promises"]} == PROMISES
    assert queue.list_jobs() == []


def test_rest_keys_alone_are_not_answered_with_another_database(tmp_path: Path) -> None:
    """A drill of an embedded server would say nothing about the project."""
    keys = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
    answer = terminal(tmp_path, None, keys).run("drill")
    assert (answer.code, answer.out) == (2, "")
    assert "set COGO_DATABASE_URL to drill on its server, or drill another one with --embedded" in " ".join(
        answer.err.split()
    )


def test_a_lost_reply_is_repeated_without_doing_it_twice(dsn: str, queue: Queue, tmp_path: Path) -> None:
    """Each was lost after the commit."""
    seen = lose_replies(queue, dsn, tmp_path)
    assert seen.held, seen
    assert seen.sentence == ("3 of 3 replies were lost after the commit; the repeats left 3 jobs for 3 and 3 attempts.")


def test_replies_are_lost_over_a_socket_file_too(dsn: str, queue: Queue, tmp_path: Path) -> None:
    """As on a machine whose server listens on no port."""
    port = int(str(conninfo_to_dict(dsn)["port"]))
    (tmp_path / "home").mkdir()
    with _listener_at(tmp_path / f".s.PGSQL.{port}") as listener:
        proxy = LossyProxy(lambda: socket.create_connection(("127.0.0.1", port)))
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        seen = lose_replies(queue, make_conninfo(dsn, host=str(tmp_path)), tmp_path / "home")
        listener.shutdown(socket.SHUT_RDWR)
    assert seen.held, seen


def test_an_engine_that_does_it_twice_is_found(dsn: str, queue: Queue, owner: Owner, tmp_path: Path) -> None:
    """An enqueue that does not know its repeat."""
    row = owner.execute("select pg_get_functiondef('public.enqueue_jobs'::regproc)").fetchone()
    assert row
    owner.execute(row[0].replace("enqueue_jobs.request_id", "gen_random_uuid()").encode())
    seen = lose_replies(queue, dsn, tmp_path)
    assert not seen.held
    assert "left 6 jobs for 3" in seen.sentence


def test_every_artifact_is_hashed(tmp_path: Path, queue: Queue) -> None:
    """A file of the right name and length with other bytes is not the artifact."""
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
    [seen] = [found for found in _invariants(queue, store) if found.promise == "every_artifact_is_there"]
    assert not seen.held
    assert seen.sentence == "1 of 2 artifacts are missing or not the bytes that were recorded."


def test_what_does_not_hold_is_said(tmp_path: Path, queue: Queue, owner: Owner) -> None:
    """A job that hangs, an attempt that is missing, a file that is not there."""
    lost = running_job(queue)
    settle(queue, lost)
    owner.execute("update public.jobs set attempts = 3 where id = %s", (lost.id,))
    owner.execute(
        "insert into public.artifacts (job_id, status, name, storage_key) values (%s, 'ready', 'page.png', 'lost.png')",
        (lost.id,),
    )
    running_job(queue)
    seen = {found.promise: found.held for found in _invariants(queue, FolderStore(tmp_path / "artifacts"))}
    assert seen == {
        "nothing_hangs": False,
        "every_attempt_is_accounted_for": False,
        "every_artifact_is_there": False,
    }


def test_a_role_that_may_not_make_databases_is_told_what_to_do(dsn: str, owner: Owner) -> None:
    """And nothing is left."""
    owner.execute("create role drill_nobody login password 'x'")
    try:
        with (
            pytest.raises(DrillFailed, match="drill with --embedded"),
            scratch(make_conninfo(dsn, user="drill_nobody", password="x")),
        ):
            pytest.fail("A database was made.")
    finally:
        owner.execute("drop role drill_nobody")


def test_the_scratch_database_is_removed_whatever_happens(dsn: str, owner: Owner) -> None:
    """Also with somebody connected."""
    with contextlib.suppress(ZeroDivisionError), scratch(dsn) as place, psycopg.connect(place.dsn):
        name = conninfo_to_dict(place.dsn)["dbname"]
        assert owner.execute(NAMED, (name,)).fetchone() == (1,)
        raise ZeroDivisionError
    assert owner.execute(NAMED, (name,)).fetchone() == (0,)
