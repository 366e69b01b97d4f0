"""Clients of the edge functions: the key vault and the router."""
