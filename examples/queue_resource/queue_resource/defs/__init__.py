"""The definitions of the example."""
