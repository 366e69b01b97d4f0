"""The code that runs jobs, one package per family of types."""
