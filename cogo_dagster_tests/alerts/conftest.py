"""Fixtures: one database per PostgreSQL version, emptied before each test, as in the conformance tests."""

from cogo_dagster_tests.queue.conformance.conftest import databases, dsn, emptied, transport, transports

__all__ = ["databases", "dsn", "emptied", "transport", "transports"]
