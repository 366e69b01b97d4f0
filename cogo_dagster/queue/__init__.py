"""The engine's client and the worker. Knows no Dagster, no HTTP server, no terminal."""
