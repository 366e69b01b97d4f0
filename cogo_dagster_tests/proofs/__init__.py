"""Properties under all conditions: query plans independent of the table size, invariants, concurrency, poolers."""
