"""Finds IDs that are given in part."""

import contextlib
from typing import Final, Literal
from uuid import UUID

from cogo_dagster.queue.errors import InvalidArgument, JobNotFound
from cogo_dagster.queue.transports.base import Transport

IdKind = Literal["job", "artifact", "worker", "alert", "silence", "operation", "action", "gate_run", "run"]
"""What has an ID that can be given in part."""

_WHOLE: Final = 36
"""Characters of a complete ID with its hyphens, which is returned unchecked."""


class IdCalls:
    """Finds IDs that are given in part."""

    _transport: Transport

    def find_any(self, kind: IdKind, given: str) -> UUID:
        """Return the ID of a kind that begins or ends with at least 8 hexadecimal digits.

        Raises:
            InvalidArgument: The digits are not part of an ID, or belong to several.
            JobNotFound: Nothing of this kind has them.
        """
        if len(given) == _WHOLE:
            with contextlib.suppress(ValueError):
                return UUID(given)
        found = self._transport.call("find_ids", {"kind": kind, "part": given})
        name = "Dagster run" if kind == "run" else kind.replace("_", " ")
        if not found:
            raise JobNotFound(f"No {name} has an ID that begins or ends with {given}: check the ID.")
        if len(found) > 1:
            raise InvalidArgument(f"{given} is part of several IDs of a {name}, {', '.join(found)}: give more digits.")
        return UUID(found[0])
