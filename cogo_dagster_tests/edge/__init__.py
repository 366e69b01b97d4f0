"""Secrets, providers and the edge functions."""
