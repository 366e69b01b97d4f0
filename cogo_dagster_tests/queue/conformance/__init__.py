"""What the engine does, whichever transport calls it, on the oldest and the newest PostgreSQL."""
