"""Delivery of alerts."""
