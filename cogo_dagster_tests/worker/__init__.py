"""The worker engine in process, on a real database: what it claims, runs, settles, renews and gives back."""
