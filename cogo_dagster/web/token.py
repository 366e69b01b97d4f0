"""The admin token of the server."""

import time
from threading import Lock
from typing import Final

from cogo_dagster.settings import Settings
from cogo_dagster.vault.admin_token import admin_token, token_of
from cogo_dagster.web.backend import Backend

_KEEP_SECONDS: Final = 1.0
"""How long the vault's token is cached: a rotation takes effect within this time."""


class AdminToken:
    """Returns the admin token; the vault's token is read again after a second, on every server."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self._settings = settings
        self._backend = backend
        self._kept: tuple[float, str | None] | None = None
        self._lock = Lock()

    @property
    def environment_token(self) -> str | None:
        """The token of the environment, which needs no database."""
        return token_of(self._settings)

    def __call__(self) -> str | None:
        """Return the token; None if none is set.

        Raises:
            QueueError: The database of the vault cannot be reached.
            VaultError: The vault's token cannot be decrypted.
        """
        if self.environment_token is not None:
            return self.environment_token
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > _KEEP_SECONDS:
                self._kept = (time.monotonic(), admin_token(self._settings, self._backend.application.transport))
            return self._kept[1]
