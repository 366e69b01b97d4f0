"""Secrets: the key vault, the admin token, and named access tokens."""
