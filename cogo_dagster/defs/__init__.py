"""The Dagster definitions, by area. `definitions.py` loads all modules in this folder."""
