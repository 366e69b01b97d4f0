"""Measurements of the queue beside its peers, on one server in one run; see docs/performance.md."""
