"""What Dagster's sensors and checks decide, as pure functions of the queue's numbers."""
