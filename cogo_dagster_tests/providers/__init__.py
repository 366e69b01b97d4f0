"""Probes of providers."""
