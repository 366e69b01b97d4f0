"""Assets, checks and schedules of the quality gate."""
