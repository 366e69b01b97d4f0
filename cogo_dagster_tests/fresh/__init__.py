"""The README's commands on bare Debian machines, as their users type them; needs root and debootstrap.

    uv run python -m cogo_dagster_tests.fresh

Each row is a machine of its own: a minimal root directory that debootstrap made, under a writable layer that is thrown
away, with a clean clone of what is committed here. The mirror, the package indexes and their certificates are those
that this machine is configured for.
"""
