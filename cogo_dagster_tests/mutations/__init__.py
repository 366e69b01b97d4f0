"""Mutation tests: named faults put into copies of the SQL functions and of the worker's decisive lines.

`python -m cogo_dagster_tests.mutations` shows that the tests detect each of them.
"""
