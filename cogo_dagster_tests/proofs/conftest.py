"""The tests behind a pooler call each function once."""

import pytest

from cogo_dagster_tests.queue.conformance.conftest import repeated_calls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Execute behind a pooler only the first of the tests that call a function with different values.

    A pooler passes on any statement; which connection of the server it chooses does not depend on the values.
    """
    repeated = repeated_calls(item for item in items if item.path.name == "test_pooler_conformance.py")
    items[:] = [item for item in items if item not in repeated]
