"""The queue's client and the worker. Does not depend on Dagster, an HTTP server or the command line."""
