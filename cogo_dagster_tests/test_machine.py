"""Tests that a machine cannot run are skipped with the reason, and fail in continuous integration."""

import os
import subprocess
import sys

import pytest

from cogo_dagster_tests import machine
from cogo_dagster_tests.processes import environment, lives, running, started_with


@pytest.fixture(params=[("", pytest.skip.Exception), ("true", pytest.fail.Exception)], ids=["person", "ci"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    """Simulate macOS without and with CI; return the exception that ends a test which cannot run there."""
    ci, end = request.param
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "geteuid", lambda: 501)
    monkeypatch.setenv("CI", ci)
    return end  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "said"), [("linux", "Linux is missing: a cgroup"), ("root", "Root is missing: a cgroup")]
)
def test_a_test_that_cannot_run_does_not_pass(
    request: pytest.FixtureRequest, elsewhere: type[BaseException], name: str, said: str
) -> None:
    """It is skipped, or fails in continuous integration."""
    machine.require(request.node)
    request.node.add_marker(getattr(pytest.mark, name)("a cgroup"))
    with pytest.raises(elsewhere, match=said):
        machine.require(request.node)


def test_processes_are_found_by_their_initial_environment() -> None:
    """Living processes are found, and zombies are not."""
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
