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
        others = None
        # One expression, and an object is not copied in parts: each call of a function takes a tenth of the time.
        if (
            payload.__class__ is dict
            and (url := payload.get("url")).__class__ is str
            and len(url) <= MAX_URL_CHARS
            and type in TYPES
            and (match := _ORDINARY_URL.fullmatch(url)) is not None
        ):
            others = _others_of(payload) if len(payload) > 1 else ()
            known = None if others is None else self._others.get(others)
            if known is not None and (match[1] in self._origins or self._accepts(match[1])):
                return {"url": url, **known} if known else {"url": url}
        stored = stored_payload(type, payload, self._allowed)
        if others is not None:
            self._keep(others, stored)
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


def _others_of(payload: dict[str, Json]) -> _Others | None:
    """Return the fields besides `url`; None if one is not a scalar."""
    others = tuple([(name, type(value), value) for name, value in payload.items() if name != "url"])
    return others if _SCALARS.issuperset(kind for _, kind, _ in others) else None
