"""One database per version for all tests of this folder, emptied before each, as the conformance tests have it."""

from cogo_dagster_tests.queue.conformance.conftest import databases, dsn, emptied, transport, transports

__all__ = ["databases", "dsn", "emptied", "transport", "transports"]
