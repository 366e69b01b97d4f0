"""Alerts: from failure to message, on real databases and over real HTTP."""
