"""What keeps a commit's code from the worker's secrets."""
