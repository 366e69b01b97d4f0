"""The lease protocol holds in every order of its steps, and each variant without one of its rules does not."""

from typing import Final

import pytest

from cogo_dagster_tests.proofs.lease_model import BROKEN, Protocol, explore

DEPTH: Final = 11


def test_the_protocol_holds_in_every_order() -> None:
    """With two workers and two jobs, no order of steps within the depth violates an invariant."""
    explored = explore(Protocol(), DEPTH)
    assert explored.broken is None, explored.path
    assert explored.states > 10_000


@pytest.mark.parametrize("name", BROKEN)
def test_a_protocol_without_a_rule_is_detected(name: str) -> None:
    """A shortest path to a violation is found within the same depth."""
    explored = explore(BROKEN[name], DEPTH)
    assert explored.broken is not None
    assert explored.path
