"""Maintenance of Dagster's own storage."""
