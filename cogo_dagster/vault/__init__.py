"""The key vault, the admin token and access tokens."""
