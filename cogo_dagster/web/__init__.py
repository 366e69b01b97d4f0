"""The metrics API and the dashboard."""
