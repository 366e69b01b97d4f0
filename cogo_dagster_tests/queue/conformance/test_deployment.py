"""The deployment's own row: whose artifact store it is."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner


@pytest.fixture(autouse=True)
def unmarked(owner: Owner) -> Iterator[None]:
    """Begin with a database that never swept."""
    owner.execute("update public.deployment set owner_marker = null")
    yield
    owner.execute("update public.deployment set owner_marker = null")


def rotate(transport: Transport, expected: UUID | None, following: UUID) -> Json:
    """Swap the marker."""
    return transport.call(
        "rotate_owner_marker", {"expected": str(expected) if expected else None, "next": str(following)}
    )


def test_the_marker_is_swapped_by_who_knows_it(transport: Transport) -> None:
    """From none to the first, and from each to the next."""
    first, second = uuid4(), uuid4()
    assert rotate(transport, None, first) == {"rotated": True, "marker": str(first)}
    assert rotate(transport, first, second) == {"rotated": True, "marker": str(second)}


def test_who_expects_another_marker_is_told_the_one_that_stands(transport: Transport) -> None:
    """A copy of a store, or of a database: nothing changes."""
    first, second = uuid4(), uuid4()
    rotate(transport, None, first)
    for expected in (None, second):
        assert rotate(transport, expected, uuid4()) == {"rotated": False, "marker": str(first)}


def test_a_repeated_swap_is_done(transport: Transport) -> None:
    """The reply was lost."""
    first, second = uuid4(), uuid4()
    rotate(transport, None, first)
    assert [rotate(transport, first, second)["rotated"] for _ in range(2)] == [True, True]


def test_a_marker_is_needed(transport: Transport) -> None:
    """None can only be expected."""
    with pytest.raises(InvalidArgument, match="next must be a uuid"):
        transport.call("rotate_owner_marker", {"expected": None, "next": None})
