"""Input that nobody meant: files, cursors, payloads, commands and endings of executors."""
