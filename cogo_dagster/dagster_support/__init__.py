"""Building blocks of the Dagster definitions: resources, storage, hooks, reports. It contains no definitions."""
