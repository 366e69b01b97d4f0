"""The marker of an artifact store: only a database that has made what the store holds may replace it."""

from uuid import UUID, uuid4

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport

STORE = uuid4()


def rotate(transport: Transport, seen: UUID | str | None, store: UUID = STORE) -> Json:
    """Replace what the store holds by a new value."""
    arguments = {"store_id": str(store), "seen": str(seen) if seen else None, "next": str(uuid4())}
    return transport.call("rotate_store_marker", arguments)


def test_a_marker_is_replaced_by_who_holds_it(transport: Transport) -> None:
    """From none to the first, and from each to the next; registering twice is registering once."""
    first = rotate(transport, None)
    assert rotate(transport, None) == first
    second = rotate(transport, first["marker"])
    third = rotate(transport, second["marker"])
    assert [answer["status"] for answer in (first, second, third)] == ["rotated"] * 3
    assert len({answer["marker"] for answer in (first, second, third)}) == 3


def test_a_marker_that_did_not_reach_the_store_is_given_again(transport: Transport) -> None:
    """The reply was lost, or the process ended before it wrote; also several markers later."""
    first = rotate(transport, None)["marker"]
    current = first
    for _ in range(5):
        current = rotate(transport, current)["marker"]
        assert rotate(transport, first) == {"status": "unfinished", "marker": current}


def test_a_marker_of_another_database_is_told(transport: Transport) -> None:
    """The store was used by a copy of this database, or by one that is no copy: nothing changes."""
    first = rotate(transport, None)["marker"]
    assert rotate(transport, uuid4()) == {"status": "mismatch", "marker": None}
    assert rotate(transport, first, uuid4()) == {"status": "unknown", "marker": None}
    assert rotate(transport, first)["status"] == "rotated"
