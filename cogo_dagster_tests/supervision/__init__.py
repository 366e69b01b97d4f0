"""What sensors and checks decide, as pure functions."""
