"""The number of due jobs for autoscalers."""

import json

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add, running_job


def depth(owner: Owner, families: object = None, max_jobs: int = 1_000) -> int:
    """Call the function."""
    wanted = None if families is None else json.dumps(families)
    row = owner.execute("select public.queue_depth(%s, %s)", (wanted, max_jobs)).fetchone()
    assert row
    return int(row[0]["jobs"])


def test_due_jobs_are_counted_up_to_a_limit(queue: Queue, owner: Owner) -> None:
    """Addressed and unaddressed jobs of all priorities count; running and scheduled jobs do not."""
    assert depth(owner) == 0
    running_job(queue)
    more: dict[str, Json]
    for more in ({}, {"priority": 9}, {"executor_id": "gpu"}, {"type": "figma.export"}, {"run_in_seconds": 3_600}):
        add(queue, **more)
    assert depth(owner) == 4
    assert depth(owner, max_jobs=3) == 3
    assert depth(owner, ["figma"]) == 1
    assert depth(owner, []) == 0


@pytest.mark.parametrize(("kind", "name", "left"), [("type", "figma", 2), ("executor", "gpu", 2)])
def test_paused_jobs_are_not_counted(queue: Queue, owner: Owner, kind: str, name: str, left: int) -> None:
    """More workers would not run them."""
    more: dict[str, Json]
    for more in ({}, {"executor_id": "gpu"}, {"type": "figma.export"}):
        add(queue, **more)
    queue.pause(kind, name, actor="test")
    assert depth(owner) == left
