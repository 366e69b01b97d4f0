"""Tests of the isolation of gate commands."""
