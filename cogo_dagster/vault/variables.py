"""Environment variables that override secrets."""

import os
from collections.abc import Callable

from pydantic import SecretStr

from cogo_dagster.settings import Settings


def no_variable(name: str) -> None:
    """Return None: variables apply to COGO_ENV only, not to other environments."""


def variable_in(settings: Settings) -> Callable[[str], str | None]:
    """Return a function that reads an environment variable, or the setting of that name.

    A blank variable counts as not set, as for settings.
    """
    ours = {field.alias: name for name, field in Settings.model_fields.items()}

    def read(name: str) -> str | None:
        value = getattr(settings, ours[name]) if name in ours else os.environ.get(name, "").strip()
        value = value.get_secret_value() if isinstance(value, SecretStr) else value
        return value if isinstance(value, str) and value else None

    return read
