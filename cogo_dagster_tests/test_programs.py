"""Missing requirements are reported before they are installed; otherwise tests are skipped, and fail in CI."""

import os

import pytest

from cogo_dagster_tests import needs, programs
from cogo_dagster_tests.needs import Need
from cogo_dagster_tests.order import missing_files


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a machine without any requirement, on which nothing can be installed."""
    monkeypatch.setattr(programs, "find", lambda _: None)
    monkeypatch.setattr(needs, "find", lambda _: None)
    monkeypatch.setattr(programs, "apt_install", lambda *_: None)
    monkeypatch.delenv("CI", raising=False)


@pytest.mark.usefixtures("bare")
def test_missing_requirements_are_reported_and_tests_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table and the reason of the skip have the remedy."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said: list[str] = []
    needs.prepare(said.append, all_tests=False)
    first = next(number for number, line in enumerate(said) if "the tests that need them are skipped" in line)
    lines = said[first + 1 :]
    assert [line.split()[0] for line in lines] == list(programs.PROGRAMS)
    with pytest.raises(pytest.skip.Exception, match="pgbouncer is missing: `sudo apt-get install pgbouncer`"):
        programs.required("pgbouncer")


@pytest.mark.usefixtures("bare")
def test_continuous_integration_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is skipped there."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="jq is missing"):
        programs.required("jq", "curl")


def test_a_complete_machine_reports_nothing_missing() -> None:
    """The first table lists missing requirements only."""
    assert list(needs.before([], all_tests=True)) == []


def test_installations_are_reported_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first table has the expected time; a run of a few tests installs nothing in advance."""
    happened: list[str] = []
    there: list[str] = []

    def get() -> None:
        happened.append("installed")
        there.append("/usr/bin/tool")

    tool = Need("tool", "apt-get install tool", 120, "", lambda: there[0] if there else None, get)
    lost = Need("lost", "the npm registry", 10, "", lambda: None, _refused)
    monkeypatch.setattr(needs, "needs", lambda: [tool, lost])
    needs.prepare(happened.append, all_tests=False)
    assert "when a test needs it, in about 2 min" in happened[0]
    assert "installed" not in happened
    happened.clear()
    needs.prepare(happened.append, all_tests=True)
    assert "ten minutes on two cores" in happened.pop(0)
    assert "before the first test" in happened[0]
    assert [line.split() for line in happened[1:3]] == [
        ["tool", "2", "min", "apt-get", "install", "tool"],
        ["lost", "10", "s", "the", "npm", "registry"],
    ]
    assert happened[3:5] == ["installed", "lost: there is no network"]
    assert [line.split() for line in happened[6:]] == [["tool", "/usr/bin/tool"], ["lost", "nothing"]]


def test_the_first_files_exist() -> None:
    """A renamed file must be renamed in the list too."""
    assert missing_files() == []


def _refused() -> None:
    raise RuntimeError("there is no network")
