"""Executors, one package per family of job types."""
