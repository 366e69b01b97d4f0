"""The log of executions, kept outside the database: one line for each begin and end."""

import json
import os
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

VARIABLE: Final = "COGO_CHAOS_EFFECTS"


class Effect(NamedTuple):
    """One line of the log.

    Attributes:
        kind: `begin`; `end` for a success about to be returned, `odd` for an ending that may be one.
        files: Number of files of the execution.
    """

    kind: str
    job_id: UUID
    token: UUID
    files: int


class EffectLog:
    """Appends to the file; a line is one write(2), so that several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, kind: str, job_id: UUID, token: UUID, files: int = 0) -> None:
        """Append a line."""
        line = json.dumps([kind, str(job_id), str(token), files]) + "\n"
        os.write(self._file, line.encode())


def read_effects(path: Path) -> list[Effect]:
    """Return all lines."""
    rows = (json.loads(line) for line in path.read_text().splitlines()) if path.exists() else ()
    return [Effect(kind, UUID(job_id), UUID(token), files) for kind, job_id, token, files in rows]
