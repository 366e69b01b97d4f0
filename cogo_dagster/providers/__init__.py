"""Providers of outside services: which are registered, which to use, and whether they answer."""
