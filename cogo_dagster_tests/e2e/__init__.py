"""Tests of the whole system: separate processes, a real browser, the Dagster UI."""
