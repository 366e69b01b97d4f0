"""The project's definitions, loaded once per process."""

from cogo_dagster.definitions import defs as load

defs = load()
