"""The server's files below `<home>/postgres`."""

import json
import secrets
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from cogo_dagster.queue.durable import write_private
from cogo_dagster.text import load_json

Owner = Literal["explicit", "lease"]
"""Who stops the server: `explicit`, the user of `cogo db start`; `lease`, the last process that uses it."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of the server that is kept between commands.

    Attributes:
        port: The TCP port to use again.
        owner: Who stops the server.
        version: Such as `18.6`, recorded once the start is complete.
    """

    port: int | None = None
    owner: Owner = "lease"
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The content of `postmaster.pid`, which may belong to a dead server."""

    pid: int
    started_at: datetime
    port: int
    ready: bool

    @classmethod
    def read(cls, data_folder: Path) -> Self | None:
        """Parse the file; None if it does not exist or is incomplete."""
        try:
            lines = (data_folder / "postmaster.pid").read_text(errors="replace").splitlines()
            pid, started, port, status = int(lines[0]), int(lines[2]), int(lines[3]), lines[7].strip()
        except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
            return None
        return cls(pid=pid, started_at=datetime.fromtimestamp(started, UTC), port=port, ready=status == "ready")


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The files of one server; `data` may be a link to a folder that the server's account can access."""

    folder: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log; a start begins a new file once the old one is large."""
        return self.folder / "server.log"

    @property
    def start_lock(self) -> Path:
        """Held while a server is started or stopped."""
        return self.folder / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Held, shared, by every process that uses the server."""
        return self.folder / "users.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server and its children while one of them is running."""
        return self.folder / "server.lock"

    @property
    def idle_lock(self) -> Path:
        """Held by the process that stops the server when it has had no users for some time."""
        return self.folder / "idle.lock"

    @property
    def idle_deadline(self) -> Path:
        """When the server is stopped unless it is used: seconds of the monotonic clock."""
        return self.folder / "idle-deadline"

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    @property
    def password_file(self) -> Path:
        """The password of the database user, readable by its owner only."""
        return self.folder / "password"

    def password(self) -> str:
        """Return the password, generated at the first call."""
        if not self.password_file.exists():
            write_private(self.password_file, secrets.token_hex(24))
        return self.password_file.read_text().strip()

    def state(self) -> ServerState:
        """Return the state; the default if the server was never started."""
        try:
            return ServerState(**load_json(self._state.read_text()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return ServerState()

    def save(self, state: ServerState) -> None:
        """Replace the state atomically, if it differs."""
        if state != self.state():
            write_private(self._state, json.dumps(asdict(state)))


def is_postmaster(pid: int, data: Path) -> bool:
    """Whether a process is the server of a data folder."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cwd").samefile(data)
        except OSError:
            return False
    command = ["/bin/ps", "-p", str(pid), "-o", "comm="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the argument is a number
    return "postgres" in listed.stdout
