"""Jobs that evaluate a commit with the configured commands: the families `gate` and `gate_fix`."""
