"""Validates payloads of browser jobs for storage; parts that several payloads have in common are validated once.

The rules for `url` and those for the other fields are independent of each other. The result of `check_url` depends only
on the origin of a URL of printable ASCII characters. Therefore an accepted origin, and an accepted set of other fields,
are accepted again; everything else, and whatever is rejected, takes the complete validation.
"""

import re
from typing import Final, TypeAlias

from cogo_dagster.executors.browser.payload import MAX_URL_CHARS, TYPES, stored_payload
from cogo_dagster.net.addresses import AllowList, check_url
from cogo_dagster.queue.model import Json

_MAX_KEPT: Final = 1_000
_SCALARS: Final = frozenset({str, bool, int, float, type(None)})
_ORDINARY_URL: Final = re.compile(r"(https?://[A-Za-z0-9.:-]+)(?:[/?#][\x21-\x7e]*)?")

_Others: TypeAlias = tuple[tuple[str, type, Json], ...]
"""The fields besides `url`, with their types, because True equals 1."""


class PayloadChecker:
    """Validates payloads under one allow-list. Thread-safe."""

    def __init__(self, allowed: AllowList) -> None:
        self._allowed = allowed
        self._origins: set[str] = set()
        self._others: dict[_Others, dict[str, Json]] = {}

    def stored(self, type: str, payload: Json) -> dict[str, Json]:
        """Return the payload as it is stored: as it was given, without defaults.

        Raises:
            InvalidPayload: See `parse_payload`.
        """
        parts = _parts(payload) if type in TYPES else None
        if parts is not None:
            origin, others = parts
            known = self._others.get(others)
            if known is not None and (origin in self._origins or self._accepts(origin)):
                return {"url": payload["url"], **known}
        stored = stored_payload(type, payload, self._allowed)
        if parts is not None:
            self._keep(parts[1], stored)
        return stored

    def _accepts(self, origin: str) -> bool:
        """Whether URLs of the origin are accepted."""
        try:
            check_url(origin, self._allowed)
        except ValueError:
            return False
        if len(self._origins) >= _MAX_KEPT:
            self._origins.clear()
        self._origins.add(origin)
        return True

    def _keep(self, others: _Others, stored: dict[str, Json]) -> None:
        known = {name: value for name, value in stored.items() if name != "url"}
        if _SCALARS.issuperset(map(type, known.values())):
            if len(self._others) >= _MAX_KEPT:
                self._others.clear()
            self._others[others] = known


def _parts(payload: Json) -> tuple[str, _Others] | None:
    """Return the origin of an ordinary URL, and the other fields; None if the URL or a field is of another kind."""
    if type(payload) is not dict or type(url := payload.get("url")) is not str or len(url) > MAX_URL_CHARS:
        return None
    match = _ORDINARY_URL.fullmatch(url)
    if match is None:
        return None
    if len(payload) == 1:
        return match[1], ()
    others = tuple([(name, type(value), value) for name, value in payload.items() if name != "url"])
    return (match[1], others) if _SCALARS.issuperset(kind for _, kind, _ in others) else None
