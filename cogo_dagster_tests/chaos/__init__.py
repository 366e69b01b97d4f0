"""Chaos runs: real worker processes, random faults, and a check of what must hold afterwards.

`python -m cogo_dagster_tests.chaos --minutes 5 --seed 7` runs one; docs/reliability.md has the figures of past runs.
"""
