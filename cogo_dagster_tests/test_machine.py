"""Tests that a machine cannot run are skipped with the reason, and fail in continuous integration."""

import os
import subprocess
import sys

import pytest

from cogo_dagster_tests import machine
from cogo_dagster_tests.processes import environment, lives, running, started_with


@pytest.fixture(params=[("", pytest.skip.Exception), ("true", pytest.fail.Exception)], ids=["person", "ci"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    """A person's Mac, then one of continuous integration; return how a test ends there that it cannot run."""
    ci, end = request.param
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "geteuid", lambda: 501)
    monkeypatch.setenv("CI", ci)
    return end  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "said"), [("linux", "Linux is missing: a cgroup"), ("root", "Root is missing: a cgroup")]
)
def test_a_test_of_another_machine_is_not_passed(
    request: pytest.FixtureRequest, elsewhere: type[BaseException], name: str, said: str
) -> None:
    """It did not look."""
    machine.require(request.node)
    request.node.add_marker(getattr(pytest.mark, name)("a cgroup"))
    with pytest.raises(elsewhere, match=said):
        machine.require(request.node)


def test_processes_are_seen_by_what_they_were_started_with() -> None:
    """While they live; a zombie is none of them."""
    word = f"cogo-test-{os.getpid()}"
    with subprocess.Popen(["sleep", "300"], env=os.environ | {"COGO_TEST_MARK": word}) as here:
        try:
            assert started_with("COGO_TEST_MARK", word) == [here.pid]
            assert environment(here.pid)["COGO_TEST_MARK"] == word
            assert here.pid in running("sleep 300")
        finally:
            here.kill()
        os.waitid(os.P_PID, here.pid, os.WEXITED | os.WNOWAIT)
        assert not lives(here.pid)
        assert started_with("COGO_TEST_MARK", word) == []
