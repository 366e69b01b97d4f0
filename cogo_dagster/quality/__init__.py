"""The quality gate: gate runs, daily snapshots, weekly summaries and Q1."""
