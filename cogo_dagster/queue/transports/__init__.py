"""Transports for calls of the queue's SQL functions; all pass the same conformance tests."""
