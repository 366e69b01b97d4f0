"""Ownership of stores: each database deletes only its own objects, also if a store is shared, copied or damaged."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cogo_dagster.queue.artifacts import StoreNotOwned, sweep_artifacts, sweep_unknown_objects, upload_report
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile, Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.stores.place import KINDS, Place, another_database, copied, delete_artifact_rows, read, upload
from cogo_dagster_tests.worker.faults import Watched


class Crash(BaseException):
    """Ends the process at this point."""


def test_two_databases_share_a_store_and_keep_all_their_files(
    place: Place, queue: Queue, database: Callable[[], Queue], tmp_path: Path
) -> None:
    """Two databases, such as the demo's and another one, can read all their files after both have swept."""
    first, second = queue, database()
    kept = {queue: [upload(queue, place.store(), tmp_path, f"{n}") for n in range(2)] for queue in (first, second)}
    reports = tmp_path / "report.txt"
    reports.write_text("the same report")
    for one in (first, second):
        row = upload_report(one.transport, place.store(), ArtifactFile("report.txt", "text/plain", reports))
        kept[one].append(row["storage_key"])
    place.age()
    before = place.files()
    for one in (first, second, first):
        store = place.store()
        assert (sweep_unknown_objects(one, store), sweep_artifacts(one, store, grace_seconds=0)) == (0, 0)
    assert place.files() == before
    assert len(before) == 6
    for one in (first, second):
        store = place.store()
        store.bind(one.transport)
        assert [read(store, key) for key in kept[one]] == ["0", "1", "the same report"]


def test_each_of_two_databases_deletes_its_own_files(
    place: Place, queue: Queue, dsn: str, server: TestServer, tmp_path: Path
) -> None:
    """Unknown objects of one are deleted, and those of the other stay, including a report of equal content."""
    with another_database(server) as other_dsn:
        transport = PostgresTransport(other_dsn, role="service_role")
        other = Queue(transport)
        report = tmp_path / "report.txt"
        report.write_text("the same report")
        for one in (queue, other):
            upload(one, place.store(), tmp_path, "mine")
            upload_report(one.transport, place.store(), ArtifactFile("report.txt", "text/plain", report))
        place.age()
        delete_artifact_rows(other_dsn)
        assert sweep_unknown_objects(other, place.store()) == 2
        assert all(name.startswith(("jobs/", "reports/")) for name in place.files())
        delete_artifact_rows(dsn)
        assert sweep_unknown_objects(queue, place.store()) == 2
        assert place.files() == set()
        transport.close()


def test_the_files_of_an_upgraded_installation_are_adopted(
    place: Place, queue: Queue, dsn: str, tmp_path: Path
) -> None:
    """The store has no marker and the database knows every object: files keep their keys and are swept."""
    key = upload(queue, place.store(), tmp_path, "old")
    place.remove_marker()
    assert upload(queue, place.store(), tmp_path, "new").startswith("jobs/")
    assert all(name.startswith("jobs/") for name in place.files())
    place.age()
    assert sweep_unknown_objects(queue, place.store()) == 0
    delete_artifact_rows(dsn)
    assert sweep_unknown_objects(queue, place.store()) == 2
    assert key not in place.files()


def test_an_upgraded_store_of_two_databases_has_no_owner(
    place: Place, queue: Queue, database: Callable[[], Queue], tmp_path: Path
) -> None:
    """Without a marker and with objects of both, each can read its old files, and no old file is deleted."""
    first, second = queue, database()
    old = {first: upload(first, place.store(), tmp_path, "first")}
    place.remove_marker()
    old[second] = upload(second, place.store(), tmp_path, "second")
    place.remove_marker()
    place.move_to_root()
    before = place.files()
    place.age()
    for one in (first, second):
        upload(one, place.store(), tmp_path, "new")
        place.age()
        assert sweep_unknown_objects(one, place.store()) == 0
    assert before <= place.files()
    assert len(place.files()) == 4
    for one, key in old.items():
        store = place.store()
        store.bind(one.transport)
        assert read(store, key) == {first: "first", second: "second"}[one]
        assert store.has_unowned_objects()


def test_a_marker_of_the_previous_release_is_accepted(place: Place, queue: Queue, tmp_path: Path) -> None:
    """It contained only the deployment's id."""
    upload(queue, place.store(), tmp_path, "old")
    place.write_marker(queue.schema_version().document["deployment_id"].encode())
    for _ in range(2):
        place.age()
        assert sweep_unknown_objects(queue, place.store()) == 0


@pytest.mark.parametrize(
    ("place", "faster"), [("folder", "original"), *((kind, "copy") for kind in KINDS)], indirect=["place"]
)
def test_a_copy_of_the_database_stops_sweeps(  # noqa: PLR0917
    place: Place, queue: Queue, dsn: str, server: TestServer, tmp_path: Path, faster: str
) -> None:
    """Files that the other one made since the copy are not deleted until an operator adopts the store."""
    upload(queue, place.store(), tmp_path, "before the copy")
    with copied(server, dsn) as copy:
        first, second = (queue, copy) if faster == "original" else (copy, queue)
        assert sweep_unknown_objects(first, place.store()) == 0
        key = upload(second, place.store(), tmp_path, "since the copy")
        place.age()
        for one in (first, second, first):
            with pytest.raises(StoreNotOwned, match="--adopt-store"):
                sweep_unknown_objects(one, place.store())
        assert key in place.files()
        store = place.store()
        store.bind(second.transport)
        store.adopt()
        assert sweep_unknown_objects(second, store) == 0
        with pytest.raises(StoreNotOwned):
            sweep_unknown_objects(first, place.store())


def test_a_copy_of_the_database_deletes_no_objects(
    place: Place, queue: Queue, dsn: str, server: TestServer, tmp_path: Path
) -> None:
    """A cleanup in the copy of a database must not delete the original's files."""
    upload(queue, place.store(), tmp_path, "the original's")
    before = place.files()
    with copied(server, dsn) as copy:
        upload(queue, place.store(), tmp_path, "newer")
        copy.operate(
            "cleanup_artifacts",
            {"older_than_days": 0, "action": {"id": "0" * 8 + "-0000-7000-8000-" + "0" * 12, "batch": 0, "actor": "x"}},
        )
        with pytest.raises(StoreNotOwned):
            sweep_artifacts(copy, place.store(), grace_seconds=0)
    assert before <= place.files()


@pytest.mark.parametrize(
    ("place", "point"),
    [
        *(("folder", f"{when} the {what}") for what in ("database", "store") for when in ("before", "after")),
        *((kind, "after the store") for kind in KINDS if kind != "folder"),  # the others do not reach the store
    ],
    indirect=["place"],
)
@pytest.mark.parametrize("known", [False, True], ids=["first claim", "rotation"])
def test_a_crash_while_the_marker_is_replaced_is_recovered(  # noqa: PLR0917
    place: Place, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, known: bool
) -> None:
    """The next sweep works after crashes at each point between the two writes, several times in a row."""
    if known:
        upload(queue, place.store(), tmp_path, "mine")
    for _ in range(3):
        with monkeypatch.context() as patch, pytest.raises(Crash):
            _confirm_and_crash(place, queue, patch, point)
    place.age()
    assert sweep_unknown_objects(queue, place.store()) == 0
    key = upload(queue, place.store(), tmp_path, "afterwards")
    assert key in place.files(), "The root of the store is still this database's."


def _confirm_and_crash(place: Place, queue: Queue, patch: pytest.MonkeyPatch, point: str) -> None:
    store = place.store()
    objects = store._objects

    def write(name: str, content: bytes, *, replace: bool) -> bool:
        if point == "before the store":
            raise Crash
        written(name, content, replace=replace)
        raise Crash

    def call(function: str, arguments: Mapping[str, Json]) -> None:
        if function == "rotate_store_marker" and point == "before the database":
            raise Crash

    written = objects.write_marker
    if point.endswith("store"):
        patch.setattr(type(objects), "write_marker", lambda _, *words, **options: write(*words, **options))
    transport = queue.transport if point.endswith("store") else Watched(queue.transport, call)
    if point == "after the database":
        transport = CrashingAfter(queue.transport)
    store.bind(transport)
    store.confirm_owner()


class CrashingAfter:
    """Calls the database and crashes before the reply is used."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call, and crash after rotate_store_marker."""
        answer = self._transport.call(function, arguments)
        if function == "rotate_store_marker":
            raise Crash
        return answer

    def close(self) -> None:
        """Do nothing: the test closes the transport."""


def test_many_workers_of_one_database_replace_the_marker_at_once(place: Place, queue: Queue, tmp_path: Path) -> None:
    """Concurrent rotations by workers of one database do not conflict."""
    upload(queue, place.store(), tmp_path, "mine")

    def sweep(_: int) -> int:
        store = place.store()
        return sum(sweep_unknown_objects(queue, store) for _ in range(3))

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(sweep, range(6))) == 0


def test_an_unreadable_marker_stops_sweeping_until_it_is_adopted(place: Place, queue: Queue, tmp_path: Path) -> None:
    """With a damaged marker, new files are stored elsewhere, and old ones stay and can be read."""
    key = upload(queue, place.store(), tmp_path, "old")
    place.write_marker(b"\x00\xff{")
    newer = upload(queue, place.store(), tmp_path, "new")
    place.age()
    assert sweep_unknown_objects(queue, place.store()) == 0
    store = place.store()
    store.bind(queue.transport)
    assert [read(store, key), read(store, newer)] == ["old", "new"]
    store.adopt()
    assert sweep_unknown_objects(queue, place.store()) == 0
    assert len(place.files()) == 2


def test_a_store_of_another_database_cannot_be_adopted(
    place: Place, queue: Queue, database: Callable[[], Queue], tmp_path: Path
) -> None:
    """Its files would be deleted as unknown objects."""
    upload(queue, place.store(), tmp_path, "mine")
    store = place.store()
    store.bind(database().transport)
    with pytest.raises(StoreNotOwned, match="cannot be adopted"):
        store.adopt()


def test_a_sweep_without_a_database_deletes_nothing(place: Place) -> None:
    """A store without a database cannot prove its owner."""
    with pytest.raises(StoreNotOwned, match="without a database"):
        place.store().confirm_owner()
