"""Ways to call the engine's SQL functions; all pass one conformance suite."""
