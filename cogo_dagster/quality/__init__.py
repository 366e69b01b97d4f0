"""The quality gate: its runs, the daily snapshot, the weekly summary, the verdict."""
