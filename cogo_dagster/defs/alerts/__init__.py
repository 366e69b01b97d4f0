"""The delivery of alerts."""
