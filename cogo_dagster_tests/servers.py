"""Real PostgreSQL servers for the tests, shared by the processes of one run.

A server lives while a process holds the lock of its folder. The kernel releases the locks of dead processes, so the
last process removes the server, and the next run removes what a killed run left.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal, LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.embedded.locks import lock, locked, open_lock, try_lock
from cogo_dagster_tests.apt import apt_install
from cogo_dagster_tests.kept import KeptConnections
from cogo_dagster_tests.postgres15 import fetched_binaries, kept_binaries
from cogo_dagster_tests.programs import missing
from cogo_dagster_tests.spares import Spare, State

Major = Literal[15, 18]
"""The oldest and the newest supported PostgreSQL."""

MIN_FREE_BYTES = 4 * 1024**3


def _scratch() -> Path:
    # A copy of a database has 300 small files: 9 ms in memory, 17 to 200 ms on a disk.
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > MIN_FREE_BYTES
    return memory if roomy else Path(gettempdir())


# Not pytest's own folder, which is private, while root's servers run as another account.
HOMES = _scratch() / f"cogo-tests-{os.getuid()}"

_TRUST = "host all all 127.0.0.1/32 trust\n"

DEBIAN_BINARIES = Path("/usr/lib/postgresql/15/bin")


class TestServer:
    """A running server whose databases are copies of templates that are built once per run.

    Args:
        server: The server.
        admin: An open connection in autocommit to the database `postgres`.
        folder: For the locks of templates; the same for all processes that share the server.
    """

    __test__ = False

    def __init__(self, server: EmbeddedServer, admin: "psycopg.Connection[Any]", folder: Path) -> None:
        self._server = server
        self._admin = admin
        self._folder = folder
        self._spares: dict[str, list[Spare]] = {}
        self._states: dict[str, State] = {}
        self._lent: dict[str, Spare] = {}

    def dsn(self, database: str) -> str:
        """Return the URL of a database, as its owner."""
        return self._server.dsn(database)

    def template(self, name: str, build: Callable[[str], object], *, based_on: str = "template1") -> None:
        """Create a template once per run.

        Args:
            build: Gets the URL of a new database and must close its connections.
            based_on: The template of the new database; by default it is empty.
        """
        building = f"{name}_building"
        with locked(self._folder / f"template.{name}.lock"):
            if self._admin.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                return
            self._run("drop database if exists {} with (force)", building)
            self._run("create database {} template {} strategy file_copy", building, based_on)
            build(self.dsn(building))
            self._run("alter database {} rename to {}", building, name)

    @contextmanager
    def clone(self, template: str = "template1") -> Iterator[str]:
        """Yield the URL of a new copy of the template, which is dropped at the end despite open connections."""
        name = f"{template}_{uuid4().hex[:12]}"
        # Copying files is faster than logging pages (9 against 11 ms) without fsync.
        self._run("create database {} template {} strategy file_copy", name, template)
        try:
            yield self.dsn(name)
        finally:
            self._run("drop database if exists {} with (force)", name)

    @contextmanager
    def lend(self, template: str, *, with_transport: bool = False) -> Iterator[str]:
        """Yield the URL of a database like the template. It is used again unless its user changes more than rows.

        Args:
            with_transport: Whether the user will use the kept transport, whose sessions need not be hidden then.

        Raises:
            AssertionError: The user has left a connection open that had to be closed.
        """
        spares = self._spares.setdefault(template, [])
        spare = spares.pop() if spares else self._new_spare(template)
        if not with_transport:
            spare.kept.hide()
        self._lent[spare.dsn] = spare
        is_restored = False
        try:
            yield spare.dsn
        finally:
            del self._lent[spare.dsn]
            try:
                is_restored = spare.restore()
            finally:
                if is_restored:
                    spares.append(spare)
                else:
                    self._drop(spare)

    @contextmanager
    def kept(self, dsn: str) -> Iterator[KeptConnections]:
        """Yield connections to a database, which stay open for its next user if it is lent."""
        if dsn in self._lent:
            yield self._lent[dsn].kept
            return
        connections = KeptConnections(dsn)
        try:
            yield connections
        finally:
            connections.close()

    def close(self) -> None:
        """Drop all databases that are kept for later users."""
        for spares in self._spares.values():
            while spares:
                self._drop(spares.pop())

    def _new_spare(self, template: str) -> Spare:
        name = f"{template}_{uuid4().hex[:12]}"
        self._run("create database {} template {} strategy file_copy", name, template)
        spare = Spare(name, self.dsn(name), self._states.get(template))
        self._states[template] = spare.template
        return spare

    def _drop(self, spare: Spare) -> None:
        spare.close()
        self._run("drop database if exists {} with (force)", spare.name)

    def _run(self, statement: LiteralString, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def shared_server(major: Major, run: Path) -> Iterator[TestServer]:
    """Use the run's server of a version; the first user starts it, the last one removes it.

    Args:
        major: The major version.
        run: A path shared by the processes of this run and by no other run, such as pytest's base folder.
    """
    with swept_home(_home_of(run, str(major))) as home:
        server = EmbeddedServer(home, binaries=binaries(major), durable=False)
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            _configure(server.status().data_folder, admin)
            shared = TestServer(server, admin, home)
            yield shared
            shared.close()


def _home_of(run: Path, what: str) -> str:
    return f"{hashlib.sha256(os.fsencode(run)).hexdigest()[:12]}-{what}"


def _configure(data: Path, admin: "psycopg.Connection[Any]") -> None:
    """Disable passwords and autovacuum.

    The password exchange takes half of the time of a connection, on both sides. Autovacuum starts a process for each
    database every minute, and the statistics that it stores change the plans of a test.
    """
    rules = data / "pg_hba.conf"
    if rules.read_text() != _TRUST:
        admin.execute("alter system set autovacuum = off")
        rules.write_text(_TRUST)
        admin.execute("select pg_reload_conf()")


@contextmanager
def private_server(major: Major = 18, cluster: Path | None = None) -> Iterator[EmbeddedServer]:
    """Yield a private server that is not started, for tests that stop or kill it.

    Args:
        cluster: The home of a stopped server, see `shared_cluster`, whose data the server gets.
    """
    with swept_home(uuid4().hex[:12]) as home:
        if cluster is not None:
            copy_cluster(cluster, home)
        yield EmbeddedServer(home, binaries=binaries(major), durable=False)


@contextmanager
def shared_cluster(run: Path, build: Callable[[str], object]) -> Iterator[Path]:
    """Yield the home of a server that is stopped after its first start, for copies: `initdb` takes half a second.

    Args:
        run: A path shared by the processes of this run, see `shared_server`.
        build: Gets the URL of the queue's database and must close its connections.
    """
    with swept_home(_home_of(run, "stopped")) as home:
        built = home / "built"
        with locked(home / "build.lock"):
            if not built.exists():
                server = EmbeddedServer(home, durable=False)
                server.start()
                build(server.dsn())
                server.stop()
                built.touch()
        yield home


def copy_cluster(source: Path, target: Path) -> None:
    """Copy the data of the stopped server of a home to another one, whose first start then needs no `initdb`."""
    (target / "postgres").mkdir(mode=0o711)
    parts = [str(source / "postgres" / name) for name in ("data", "password")]
    # With the owner of each file, which `shutil.copytree` does not keep.
    subprocess.run(["cp", "-a", *parts, str(target / "postgres")], check=True)


@contextmanager
def swept_home(name: str) -> Iterator[Path]:
    """Use a home folder; its last user stops the server and deletes the folder."""
    home = HOMES / name
    HOMES.mkdir(mode=0o711, exist_ok=True)
    sweeping = HOMES / "sweep.lock"
    with locked(sweeping):
        _sweep()
        home.mkdir(exist_ok=True)
        use = open_lock(home / "use.lock")
        lock(use, shared=True)
    try:
        yield home
    finally:
        use.close()
        with locked(sweeping):
            _sweep()


def binaries(major: Major) -> Path | None:
    """Return the folder of a version's programs; None for the embedded ones.

    Version 15 is taken from Debian's folder or from `pg_config`, or installed if this is root on Debian, or downloaded.
    Without it the test is skipped.
    """
    if major == 18:
        return None
    found = get_15()
    if found is None:
        missing("PostgreSQL 15", "install it (Debian 12: postgresql-15) or add its pg_config to the PATH")
    return found


def find_15() -> Path | None:
    """Return the folder of the programs of version 15, if it exists."""
    return _installed_15() or kept_binaries()


def get_15() -> Path | None:
    """Return the folder of the programs of version 15, installed if necessary; None if that is not possible."""
    HOMES.mkdir(mode=0o711, exist_ok=True)
    with locked(HOMES / "install.lock"):
        found = _installed_15()
        if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
            _install_15()
            found = _installed_15()
        return found or fetched_binaries()


def _installed_15() -> Path | None:
    if (DEBIAN_BINARIES / "initdb").exists():
        return DEBIAN_BINARIES
    if not shutil.which("pg_config"):
        return None
    version, folder = (_pg_config(option) for option in ("--version", "--bindir"))
    return Path(folder) if version.startswith("PostgreSQL 15.") and (Path(folder) / "initdb").exists() else None


def _pg_config(option: str) -> str:
    return subprocess.run(["pg_config", option], capture_output=True, text=True, check=False).stdout.strip()


def _install_15() -> None:
    configuration = Path("/etc/postgresql-common/createcluster.conf")
    if not configuration.exists():
        configuration.parent.mkdir(exist_ok=True)
        configuration.write_text("create_main_cluster = false\n")
    apt_install("postgresql-15")


def _sweep() -> None:
    for home in HOMES.iterdir():
        if home.is_dir():
            with open_lock(home / "use.lock") as use:
                if try_lock(use):
                    _remove(home)


def _remove(home: Path) -> None:
    server = EmbeddedServer(home)
    server.stop()
    data = server.status().data_folder
    if not data.is_relative_to(home):
        shutil.rmtree(data.parent, ignore_errors=True)
    shutil.rmtree(home)
