"""A commit that tries everything: it finds no secret and changes nothing outside."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from cogo_dagster.executors.isolation import landlock
from cogo_dagster.executors.isolation.machine import Isolation
from cogo_dagster_tests.executors.isolation.bench import ALL, LANDLOCK, NAMESPACES, OLD_LANDLOCK, Machine, a_machine

pytestmark = pytest.mark.linux("elsewhere nothing isolates, and nothing is run")


def open_to(machine: Machine, ways: Isolation) -> set[str]:
    """What a commit can do, as SECURITY.md and `cogo doctor` say."""
    if ways.namespaces or machine.account == "root":
        return set()
    return {"attributes"} | ({"signals"} if ways.landlock < landlock.SCOPE_ABI else set())


@pytest.mark.parametrize("ways", [ALL, LANDLOCK, NAMESPACES], ids=["all", "landlock", "namespaces"])
def test_a_commit_finds_no_secret_and_changes_nothing(machine: Machine, ways: Mapping[str, Any]) -> None:
    """With all that this machine offers, and with each of the two ways alone."""
    offered = machine.offers(ways)
    achieved, ended = machine.attack(ways)
    assert achieved == open_to(machine, offered), ended["output"]
    assert ended["left"] == 0
    if not achieved:
        assert (ended["changed"], ended["signals"]) == ([], [])


def test_on_an_older_kernel_only_what_is_said_is_possible(machine: Machine) -> None:
    """The first version of Landlock knows no ports, no signals and no abstract sockets."""
    offered = machine.offers(OLD_LANDLOCK)
    achieved, ended = machine.attack(OLD_LANDLOCK)
    assert achieved <= open_to(machine, offered), ended["output"]


MASKED = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /proc/interrupts && exec "$@"', "sh"]


@pytest.mark.parametrize("before", [tuple(MASKED)] if os.geteuid() == 0 else [])
def test_a_container_that_hides_parts_of_proc_hides_the_rest_too(before: tuple[str, ...]) -> None:
    """A namespace there gets no /proc of its own: what the container has is shown, and tells no secret."""
    with a_machine("ordinary") as machine:
        machine.before = before
        machine.offers(NAMESPACES)
        achieved, ended = machine.attack(NAMESPACES)
    assert achieved == set(), ended["output"]


def test_the_same_commit_has_it_all_without_isolation() -> None:
    """So that the attempts above are real ones."""
    with a_machine("ordinary") as machine:
        achieved, ended = machine.attack(None)
    found = "environ known_files every_file process_links open_files vm_readv proc_mem trace signals limits links write"
    reached = "abstract_socket socket_file datagram_pair loopback mptcp fast_open shared_memory setuid attributes"
    assert {*found.split(), *reached.split()} <= achieved
    assert ended["signals"]
    assert ended["changed"]
