"""The README's commands on minimal Debian machines, run as written; requires root and debootstrap.

    uv run python -m cogo_dagster_tests.fresh

Each row is a separate machine: a minimal root directory made by debootstrap, under a writable layer that is discarded,
with a clean clone of the current commit. The mirror, the package indexes and their certificates are those configured on
this machine.
"""
