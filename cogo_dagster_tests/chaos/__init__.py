"""Chaos runs: real worker processes, random faults, and checks of the invariants afterwards.

`python -m cogo_dagster_tests.chaos --minutes 5 --seed 7` starts one; docs/reliability.md has the results of past runs.
"""
