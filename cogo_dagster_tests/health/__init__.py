"""Probes of providers, and the doctor."""
