"""A dry run writes no row of any table, including logs."""

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.scenes import one_of_each
from cogo_dagster_tests.rows import every_row

DISCARD = "01a20e7e-05b7-7aaa-bad6-5ea8efa1a0bc"
OPERATIONS: dict[str, Json] = {
    "retry_failed": {},
    "replay_dlq": {},
    "discard_dlq": {"reason": "gone"},
    "undo_discard": {"discard_id": DISCARD},
    "purge_jobs": {"older_than_days": 0, "statuses": ["succeeded", "cancelled", "failed"]},
    "cleanup_artifacts": {"older_than_days": 0},
    "recover_leases": {},
}
ACTION: Json = {"id": "01a20e7e-05b7-7aaa-bad6-5ea8efa1a0bb", "batch": 0, "actor": "me"}


def test_every_function_with_a_dry_run_is_tested() -> None:
    """A new function with a dry run must be added here."""
    assert set(OPERATIONS) == {name for name, arguments in FUNCTIONS.items() if "dry_run" in arguments}


@pytest.mark.parametrize("function", OPERATIONS)
def test_a_dry_run_leaves_every_table_as_it_is(transport: Transport, queue: Queue, owner: Owner, function: str) -> None:
    """With and without an action ID, it finds the rows that the real run changes."""
    one_of_each(queue, owner)
    if function == "undo_discard":
        discard = {"reason": "gone", "dry_run": False, "action": {"id": DISCARD}}
        assert transport.call("discard_dlq", discard)["changed"] > 0
    before = every_row(owner)
    for action in (None, ACTION):
        answer = transport.call(function, OPERATIONS[function] | {"dry_run": True, "action": action})
        assert answer["matched"] > 0
    assert every_row(owner) == before
    assert transport.call(function, OPERATIONS[function] | {"dry_run": False, "action": ACTION})["changed"] > 0
    assert every_row(owner) != before
