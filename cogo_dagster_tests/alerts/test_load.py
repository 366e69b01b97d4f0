"""The short version of the load test of alerts."""

from pathlib import Path

import pytest

from cogo_dagster_tests.alerts.load import KILLS, Load, run_load, verify
from cogo_dagster_tests.alerts.steps import let_pass
from cogo_dagster_tests.conftest import Owner


@pytest.mark.timeout(400)
def test_many_failures_are_few_messages_and_nothing_is_lost(dsn: str, owner: Owner, tmp_path: Path) -> None:
    """With 400 failures of 20 causes, outages of all targets and a killed deliverer, all are counted and delivered."""

    def settled(load: Load) -> bool:
        # Ages the rows, instead of waiting for claims to expire and for repeat intervals.
        let_pass(owner, 100)
        return not verify(owner, load)

    load = run_load(dsn, tmp_path, failures=400, seconds=6, settled=settled)
    assert verify(owner, load) == []
    assert load.killed == KILLS
    assert all(count <= 30 for count in load.messages().values())
