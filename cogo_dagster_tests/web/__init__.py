"""The dashboard and the API, over a real database, in a real browser."""
