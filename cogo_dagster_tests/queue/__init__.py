"""Tests of the queue: client, transports, migrations, and the conformance tests that every transport passes."""
