"""Helpers of the tests of the vault."""

from collections.abc import Mapping

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.vault.key_ring import KeyRing, new_key
from cogo_dagster.vault.key_vault import KeyVault

TOKEN = "quality:notify:admin_token"


def ring(*keys: str) -> KeyRing:
    """Return a key ring with these keys, newest first, or with a new key."""
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
    """A transport that fails before or after calls.

    Args:
        inner: The transport that executes the calls.
        breaks: For each call in order: "" executes it, "before" fails first, "after" executes it and loses the reply.
    """

    def __init__(self, inner: Transport, breaks: list[str]) -> None:
        self._inner = inner
        self._breaks = breaks

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Execute the call, or fail."""
        breaks = self._breaks.pop(0) if self._breaks else ""
        if breaks == "before":
            raise ConnectionError
        result = self._inner.call(function, arguments)
        if breaks == "after":
            raise ConnectionError
        return result

    def close(self) -> None:
        """Do nothing: the inner transport stays open."""
