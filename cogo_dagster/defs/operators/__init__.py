"""The operators' Dagster jobs."""
