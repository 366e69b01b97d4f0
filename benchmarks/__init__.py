"""Benchmarks of the queue and of comparable queues, on one server in one run; see docs/performance.md."""
