"""The tools named in docs/operations.md, run for real; their reports are compared with what they print."""
