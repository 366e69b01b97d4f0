"""A missing program is told at the start, skips tests on a person's machine, and fails them in CI."""

import os

import pytest

from cogo_dagster_tests import programs


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has nothing, on which nothing can be installed."""
    monkeypatch.setattr(programs, "find", lambda _: None)
    monkeypatch.setattr(programs, "apt_install", lambda *_: None)
    monkeypatch.delenv("CI", raising=False)


@pytest.mark.usefixtures("bare")
def test_a_person_is_told_and_the_test_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to get it, in one table and in the reason."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    first, *lines = programs.report()
    assert "the tests that need them are skipped" in first
    assert [line.split()[0] for line in lines] == list(programs.PROGRAMS)
    with pytest.raises(pytest.skip.Exception, match="pgbouncer is missing: `sudo apt-get install pgbouncer`"):
        programs.required("pgbouncer")


@pytest.mark.usefixtures("bare")
def test_continuous_integration_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out there."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="jq is missing"):
        programs.required("jq", "curl")


def test_a_whole_machine_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is for what is missing."""
    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}")
    assert list(programs.report()) == []
