"""Keeping Dagster's own storage small."""
