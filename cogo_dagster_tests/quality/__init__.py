"""The quality gate: its runs, its reports, its numbers and the verdict."""
