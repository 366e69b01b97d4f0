"""Behaviour of the SQL functions over every transport, on the oldest and the newest supported PostgreSQL."""
