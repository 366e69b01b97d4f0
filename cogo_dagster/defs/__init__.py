"""The Dagster definitions, by area. `definitions.py` loads every module of this folder."""
