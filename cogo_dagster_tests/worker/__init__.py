"""The worker in process, on a real database: claims, executions, settlements, leases and stops."""
