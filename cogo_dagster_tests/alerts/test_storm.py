"""The storm in its short form; the long one is a command."""

from pathlib import Path

import pytest

from cogo_dagster_tests.alerts.steps import let_pass
from cogo_dagster_tests.alerts.storm import Storm, run_storm, verify
from cogo_dagster_tests.conftest import Owner


@pytest.mark.timeout(400)
def test_a_storm_is_a_handful_of_messages_and_nothing_is_lost(dsn: str, owner: Owner, tmp_path: Path) -> None:
    """400 failures of 20 kinds, every target down for part of the time, the deliverer killed -9 twice."""

    def settled(_: Storm) -> bool:
        # Instead of waiting for claims to expire and for windows to pass.
        let_pass(owner, 100)
        return not verify(owner, _)

    storm = run_storm(dsn, tmp_path, failures=400, seconds=6, settled=settled)
    assert verify(owner, storm) == []
    assert storm.killed == 2
    assert all(count <= 30 for count in storm.messages().values())
