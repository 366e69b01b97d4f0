"""A short fuzzing run with a few fixed cases of each kind, and tests that it finds faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from cogo_dagster_tests.fuzz.catalogue import KINDS
from cogo_dagster_tests.fuzz.trial import Surroundings, Trial

CASES = 60
CASES_OF = {
    "API, signed in": 250,
    "arguments of the command line": 10,
    "options of commands": 15,
    "payload and plan files": 10,
}


@pytest.fixture
def surroundings(tmp_path: Path, dsn: str) -> Surroundings:
    """Return a folder and a database for one kind."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    return Surroundings(folder, lambda: dsn)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_found(surroundings: Surroundings, name: str) -> None:
    """Every input is accepted or rejected by its own error: no traceback, no status 500, no partial write."""
    kind, _ = KINDS[name]
    trial = Trial(surroundings, CASES_OF.get(name, CASES))
    kind(trial)
    assert trial.findings == []
    assert trial.tried >= trial.cases / 2


def test_a_fault_is_found_and_reported(surroundings: Surroundings) -> None:
    """The report has the smallest value that shows it, and where it was raised."""
    trial = Trial(surroundings, 500)

    def check(number: int) -> None:
        assert number < 1_000, "too large"

    trial.each(st.integers(0, 10**6), check)
    [finding] = trial.findings
    assert finding.startswith("1000\nAssertionError: too large")


def test_a_base_exception_is_found(surroundings: Surroundings) -> None:
    """A BaseException that escapes is a finding too."""
    trial = Trial(surroundings, 5)

    def check(number: int) -> None:
        raise GeneratorExit(number)

    trial.each(st.integers(0, 1), check)
    assert len(trial.findings) == 1


def test_every_case_is_watched(surroundings: Surroundings) -> None:
    """The context manager is entered around each case."""
    entered = []

    @contextmanager
    def watched() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    trial = Trial(surroundings, 7, watched=watched)
    trial.each(st.integers(), lambda _: None)
    assert entered == ["in", "out"] * 7
    assert trial.tried == 7
