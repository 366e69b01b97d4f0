"""Generated input: files, cursors, payloads, commands and endings of executors."""
