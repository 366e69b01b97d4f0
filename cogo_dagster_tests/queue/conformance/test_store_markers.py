"""The owner marker of an artifact store: only the database that wrote it may replace it."""

from uuid import UUID, uuid4

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport

STORE = uuid4()


def rotate(transport: Transport, seen: UUID | str | None, store: UUID = STORE) -> Json:
    """Replace the value in the store by a new one."""
    arguments = {"store_id": str(store), "seen": str(seen) if seen else None, "next": str(uuid4())}
    return transport.call("rotate_store_marker", arguments)


def test_a_marker_is_replaced_by_its_owner(transport: Transport) -> None:
    """The first value replaces none, and each further one the previous; registering is idempotent."""
    first = rotate(transport, None)
    assert rotate(transport, None) == first
    second = rotate(transport, first["marker"])
    third = rotate(transport, second["marker"])
    assert [answer["status"] for answer in (first, second, third)] == ["rotated"] * 3
    assert len({answer["marker"] for answer in (first, second, third)}) == 3


def test_a_marker_that_was_not_written_to_the_store_is_returned_again(transport: Transport) -> None:
    """The reply was lost, or the process ended before writing; this holds several markers later too."""
    first = rotate(transport, None)["marker"]
    current = first
    for _ in range(5):
        current = rotate(transport, current)["marker"]
        assert rotate(transport, first) == {"status": "unfinished", "marker": current}


def test_a_marker_of_another_database_is_reported(transport: Transport) -> None:
    """The store was used by a copy of this database, or by another one: nothing changes."""
    first = rotate(transport, None)["marker"]
    assert rotate(transport, uuid4()) == {"status": "mismatch", "marker": None}
    assert rotate(transport, first, uuid4()) == {"status": "unknown", "marker": None}
    assert rotate(transport, first)["status"] == "rotated"
