"""Decisions of Dagster's sensors and asset checks, as pure functions of the state of the queue."""
