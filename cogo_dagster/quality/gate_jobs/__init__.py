"""Jobs that evaluate a commit with the commands of the settings: the families `gate` and `gate_fix`."""
