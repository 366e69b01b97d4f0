"""Environment variables that a secret may stand in."""

import os
from collections.abc import Callable

from pydantic import SecretStr

from cogo_dagster.settings import Settings


def no_variable(name: str) -> None:
    """Know no variable: they speak for COGO_ENV, and another environment is asked for."""


def variable_in(settings: Settings) -> Callable[[str], str | None]:
    """Return what reads an environment variable that a secret may stand in; where it is a setting, the setting's word.

    Blank counts as not set, as it does for settings.
    """
    ours = {field.alias: name for name, field in Settings.model_fields.items()}

    def read(name: str) -> str | None:
        value = getattr(settings, ours[name]) if name in ours else os.environ.get(name, "").strip()
        value = value.get_secret_value() if isinstance(value, SecretStr) else value
        return value if isinstance(value, str) and value else None

    return read
