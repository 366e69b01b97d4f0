"""The mutations match the code: each changes one place, and names tests that exist."""

import pytest

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.mutations.__main__ import mutated
from cogo_dagster_tests.mutations.catalogue import MUTATIONS
from cogo_dagster_tests.mutations.mutation import Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_changes_one_place(mutation: Mutation) -> None:
    """A change of a mutated line requires a change of its mutation."""
    text = (PROJECT_ROOT / mutation.file).read_text()
    assert mutated(text, mutation) != text
    assert all((PROJECT_ROOT / test).is_file() for test in mutation.tests)
