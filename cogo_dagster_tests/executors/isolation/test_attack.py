"""An attack by a commit's code: it finds no secret and changes nothing outside its folder."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from cogo_dagster.executors.isolation import landlock
from cogo_dagster.executors.isolation.machine import Isolation
from cogo_dagster_tests.executors.isolation.bench import (
    ALL,
    LANDLOCK,
    NAMESPACES,
    OLD_LANDLOCK,
    Machine,
    temporary_machine,
)

pytestmark = pytest.mark.linux("isolation needs Linux; gate commands do not run elsewhere")


def open_to(machine: Machine, ways: Isolation) -> set[str]:
    """Return the attempts that are expected to succeed, as documented in SECURITY.md and by `cogo doctor`."""
    if ways.namespaces or machine.account == "root":
        return set()
    return {"attributes"} | ({"signals"} if ways.landlock < landlock.SCOPE_ABI else set())


@pytest.mark.parametrize("ways", [ALL, LANDLOCK, NAMESPACES], ids=["all", "landlock", "namespaces"])
def test_a_commit_finds_no_secret_and_changes_nothing(machine: Machine, ways: Mapping[str, Any]) -> None:
    """The attack fails with all mechanisms, with Landlock alone and with namespaces alone."""
    offered = machine.offers(ways)
    achieved, ended = machine.attack(ways)
    assert achieved == open_to(machine, offered), ended["output"]
    assert ended["left"] == 0
    if not achieved:
        assert (ended["changed"], ended["signals"]) == ([], [])


def test_on_an_older_kernel_only_documented_attempts_succeed(machine: Machine) -> None:
    """With Landlock version 1, only the documented attempts succeed."""
    offered = machine.offers(OLD_LANDLOCK)
    achieved, ended = machine.attack(OLD_LANDLOCK)
    assert achieved <= open_to(machine, offered), ended["output"]


MASKED = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /proc/interrupts && exec "$@"', "sh"]


@pytest.mark.parametrize("before", [tuple(MASKED)] if os.geteuid() == 0 else [])
def test_the_attack_fails_in_a_container_with_a_masked_proc(before: tuple[str, ...]) -> None:
    """In a container with a masked /proc, which a namespace has to share, the attack fails."""
    with temporary_machine("ordinary") as machine:
        machine.before = before
        machine.offers(NAMESPACES)
        achieved, ended = machine.attack(NAMESPACES)
    assert achieved == set(), ended["output"]


def test_the_attack_succeeds_without_isolation() -> None:
    """Without isolation the attack succeeds, which proves that the attempts work."""
    with temporary_machine("ordinary") as machine:
        achieved, ended = machine.attack(None)
    found = "environ known_files every_file process_links open_files vm_readv proc_mem trace signals limits links write"
    reached = "abstract_socket socket_file datagram_pair loopback mptcp fast_open shared_memory setuid attributes"
    assert {*found.split(), *reached.split()} <= achieved
    assert ended["signals"]
    assert ended["changed"]
