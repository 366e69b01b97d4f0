"""The last release beside this one: its workers and clients on this schema, and what each refuses."""
