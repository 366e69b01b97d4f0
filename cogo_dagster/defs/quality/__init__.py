"""The quality gate's assets, checks and schedules."""
