"""The project's definitions, loaded once for a process."""

from cogo_dagster.definitions import defs as load

defs = load()
