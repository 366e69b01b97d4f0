"""Tests of the vault and of the edge functions."""
