"""Where the admin token comes from: the environment, else the vault."""

import time
from typing import Final

from cogo_dagster.settings import Settings
from cogo_dagster.web.backend import Backend

REFERENCE: Final = "quality:notify:admin_token"

_KEEP_SECONDS: Final = 10.0


class AdminToken:
    """Finds the token, and asks the vault again after some seconds, so that a new one counts soon."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self._settings = settings
        self._backend = backend
        self._kept: tuple[float, str | None] | None = None

    def __call__(self) -> str | None:
        """Return the token; None while none is set, which keeps the protected endpoints closed.

        Raises:
            QueueError: The vault's database cannot be asked.
            VaultError: The vault's token cannot be decrypted.
        """
        if self._settings.admin_token is not None:
            return self._settings.admin_token.get_secret_value()
        if self._kept is None or time.monotonic() - self._kept[0] > _KEEP_SECONDS:
            self._kept = (time.monotonic(), self._backend.application.vault.get(REFERENCE))
        return self._kept[1]
