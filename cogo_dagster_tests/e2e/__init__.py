"""The whole system as its users start it: separate processes, a real browser, the Dagster UI."""
