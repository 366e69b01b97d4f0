"""Providers of external services: registration, selection and health probes."""
