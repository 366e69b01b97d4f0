"""Steps of the vault's tests."""

from collections.abc import Mapping

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.vault.key_ring import KeyRing, new_key
from cogo_dagster.vault.key_vault import KeyVault

TOKEN = "quality:notify:admin_token"


def ring(*keys: str) -> KeyRing:
    """Return a ring of these keys, newest first; a new one without any."""
    return KeyRing.read(",".join(keys or (new_key(),)), "the test")


def vault(
    transport: Transport,
    keys: KeyRing | None = None,
    variables: Mapping[str, str] | None = None,
    environment: str = "dev",
) -> KeyVault:
    """Return the vault of an environment."""
    keys = keys or ring()
    return KeyVault(transport, environment, lambda: keys, (variables or {}).get)


class Breaking:
    """A transport that loses replies and breaks before or after a call, as it is told.

    Args:
        breaks: For each call in turn: "" works, "before" does nothing, "after" does it and loses the reply.
    """

    def __init__(self, inner: Transport, breaks: list[str]) -> None:
        self._inner = inner
        self._breaks = breaks

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call, or break."""
        breaks = self._breaks.pop(0) if self._breaks else ""
        if breaks == "before":
            raise ConnectionError
        answer = self._inner.call(function, arguments)
        if breaks == "after":
            raise ConnectionError
        return answer

    def close(self) -> None:
        """Nothing of its own."""
