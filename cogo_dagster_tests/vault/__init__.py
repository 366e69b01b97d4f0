"""Secrets and the edge functions."""
