"""COGO Agent Core's operations system: a fenced Postgres job queue run as a Dagster project."""
