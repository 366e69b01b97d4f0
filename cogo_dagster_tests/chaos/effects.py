"""The log of what executors did, kept outside the database: one line for each begin and end of an execution."""

import json
import os
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

VARIABLE: Final = "COGO_CHAOS_EFFECTS"


class Effect(NamedTuple):
    """What one execution did.

    Attributes:
        kind: `begin`; `end` for a success that the executor is about to return, `odd` for what may be one.
        files: How many files it leaves.
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
        """Add a line."""
        line = json.dumps([kind, str(job_id), str(token), files]) + "\n"
        os.write(self._file, line.encode())


def read_effects(path: Path) -> list[Effect]:
    """Return all lines."""
    rows = (json.loads(line) for line in path.read_text().splitlines()) if path.exists() else ()
    return [Effect(kind, UUID(job_id), UUID(token), files) for kind, job_id, token, files in rows]
