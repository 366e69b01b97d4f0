"""A commit that tries everything: it finds no secret and changes nothing outside."""

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from cogo_dagster_tests.executors.isolation.bench import ALL, LANDLOCK, NAMESPACES, OLD_LANDLOCK, Machine, a_machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing isolates, and nothing is run")


@pytest.mark.parametrize("ways", [ALL, LANDLOCK, NAMESPACES], ids=["all", "landlock", "namespaces"])
def test_a_commit_finds_no_secret_and_changes_nothing(machine: Machine, ways: Mapping[str, Any]) -> None:
    """With all that this machine offers, and with each of the two ways alone."""
    achieved, ended = machine.attack(ways)
    expected = {"attributes"} if machine.account == "ordinary" and ways is LANDLOCK else set()
    assert achieved == expected, ended["output"]
    assert ended["signals"] == []
    assert ended["left"] == 0
    if not expected:
        assert ended["changed"] == []


def test_on_an_older_kernel_only_what_is_said_is_possible(machine: Machine) -> None:
    """The first version of Landlock knows no ports, no signals and no abstract sockets."""
    achieved, ended = machine.attack(OLD_LANDLOCK)
    assert achieved <= ({"attributes", "signals"} if machine.account == "ordinary" else set()), ended["output"]


def test_the_same_commit_has_it_all_without_isolation() -> None:
    """So that the attempts above are real ones."""
    with a_machine("ordinary") as machine:
        achieved, ended = machine.attack(None)
    found = "environ known_files every_file process_links open_files vm_readv proc_mem trace signals limits links write"
    reached = "abstract_socket socket_file datagram_pair loopback mptcp fast_open shared_memory setuid attributes"
    assert {*found.split(), *reached.split()} <= achieved
    assert ended["signals"]
    assert ended["changed"]
