"""Artifact stores, each kind by the same tests."""
