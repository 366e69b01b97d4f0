"""Whether what we depend on answers, and what to do when it does not."""
