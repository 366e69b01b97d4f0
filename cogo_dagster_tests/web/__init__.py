"""Tests of the dashboard and the API with a real database and a real browser."""
