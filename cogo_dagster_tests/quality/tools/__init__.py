"""Runs the tools named in docs/operations.md; compares their reports with their output."""
