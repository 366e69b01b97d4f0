"""Mutation tests: named faults are put into copies of the SQL functions and of critical lines of the worker.

`python -m cogo_dagster_tests.mutations` shows that the tests detect each of them.
"""
