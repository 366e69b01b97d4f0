"""Tests of alerts with real databases and real HTTP requests."""
