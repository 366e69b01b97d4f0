"""The network's rules: which addresses may be reached, and the proxy that enforces it."""
