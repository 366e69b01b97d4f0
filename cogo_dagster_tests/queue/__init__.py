"""Tests of the queue: its client, transports, migrator, and the conformance suite every transport passes."""
