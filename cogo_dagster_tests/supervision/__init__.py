"""Decisions of sensors and checks, as pure functions."""
