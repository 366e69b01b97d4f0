"""The last release with this schema: its workers and clients, and the schemas that each release rejects."""
