"""The Dagster definitions: rims that read, call and report. Only here and in `definitions` is Dagster imported."""
