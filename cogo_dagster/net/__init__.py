"""Outgoing HTTP: address rules, and the forward proxy that enforces them."""
