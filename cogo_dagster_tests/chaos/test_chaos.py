"""A short chaos run over each transport; longer ones are started by the command."""

from pathlib import Path
from typing import Final

import pytest

from cogo_dagster_tests.chaos.plan import (
    CLOCK_FAULTS,
    DATABASE_FAULTS,
    LINK_FAULTS,
    OPERATOR,
    POISON,
    PROCESS_FAULTS,
    REST_FAULTS,
    SERVER_FAULTS,
    STORE_FAULTS,
    Way,
    kinds,
    plan,
    round_length,
)
from cogo_dagster_tests.chaos.report import lines
from cogo_dagster_tests.chaos.run import Order, run
from cogo_dagster_tests.servers import private_server

_SECONDS: Final = 6
_BACKLOG: Final = 200
"""At most a few hundred jobs a second: with more, two cores are busy for the whole run."""

_SEEDS: Final[dict[Way, int]] = {"postgres": 6659, "rest": 16719}
"""Each plan has a fault of every group, and one that starts another worker, which takes two seconds of CPU time."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("way", "dagster_runs"),
    [
        pytest.param("postgres", False, id="postgres"),
        pytest.param("rest", False, id="rest"),
        pytest.param("rest", True, id="rest-dagster", marks=pytest.mark.slow),
    ],
)
def test_a_short_run_has_no_violations(way: Way, dagster_runs: bool, tmp_path: Path, cluster: Path) -> None:
    """Two workers, six seconds of faults, a drain: every invariant holds.

    A run of Dagster, which executes a few jobs in such a short run, takes part in a slow test only.
    """
    with private_server(cluster=cluster) as server:
        server.start()
        dsn = server.dsn("cogo")
        order = Order(
            way,
            _SEEDS[way],
            _SECONDS,
            workers=2,
            drain_seconds=240,
            backlog=_BACKLOG,
            dagster_runs=dagster_runs,
        )
        report = run(dsn, tmp_path, order, server=server)
    assert not report.violations, "\n".join(lines(report))
    assert report.attempts > 0


@pytest.mark.parametrize("way", ["postgres", "rest"])
def test_the_short_run_has_faults_of_each_group(way: Way) -> None:
    """A process is killed, and there is a fault of every other group, such as a wrong clock or a restarted server."""
    planned = {step.kind for step in plan(_SEEDS[way], _SECONDS, way, server=True)}
    assert "kill" in planned
    groups = [PROCESS_FAULTS, CLOCK_FAULTS, DATABASE_FAULTS, SERVER_FAULTS, LINK_FAULTS, STORE_FAULTS, OPERATOR, POISON]
    assert all(planned & set(group) for group in [*groups, *([REST_FAULTS] if way == "rest" else [])])


def test_a_seed_gives_the_same_faults() -> None:
    """The plan depends on the seed only, and another seed gives another one."""
    assert plan(1, 60, "rest") == plan(1, 60, "rest")
    assert plan(1, 60, "rest") != plan(2, 60, "rest")


@pytest.mark.parametrize("way", ["postgres", "rest"])
def test_a_long_run_has_faults_of_each_kind(way: Way) -> None:
    """Each kind occurs within the first round of faults, for any seed."""
    steps = plan(3, 600, way, server=True, dagster=True)
    first_round = steps[: round_length(way, server=True, dagster=True)]
    assert {step.kind for step in first_round} == set(kinds(way, server=True, dagster=True))
