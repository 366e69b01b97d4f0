"""Alerts: raised from failures in the database, then delivered to targets."""
