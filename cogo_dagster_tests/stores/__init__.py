"""Artifact stores: the same tests for each kind."""
