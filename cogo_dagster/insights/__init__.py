"""The numbers behind CLI, web and Dagster, and what follows from them, computed once."""
