"""Three hosts: A has PostgreSQL, an object storage and the dashboard; B and C have workers."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest import mock
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.embedded import server as embedded
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.hosts.executor import write_entry_point
from cogo_dagster_tests.hosts.network import NETWORK, Host, hosts
from cogo_dagster_tests.servers import private_server

T = TypeVar("T")

LEASE_SECONDS: Final = 5
BIN: Final = Path(sys.executable).parent
_HBA: Final = f"host all all 127.0.0.1/32 trust\nhost all all {NETWORK} trust\n"


@dataclass
class World:
    """The hosts and their database.

    Attributes:
        environment: The environment of all processes.
        owner: A connection with all privileges.
    """

    a: Host
    b: Host
    c: Host
    folder: Path
    environment: dict[str, str]
    owner: "psycopg.Connection[dict[str, Any]]"

    def start(self, host: Host, *command: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a program of the project on a host; its output is appended to a file of the host."""
        program, *arguments = command
        with (self.folder / f"{host.name}.log").open("ab") as output:
            return host.start([BIN / program, *arguments], {**self.environment, **environment}, output)

    def start_worker(self, host: Host) -> None:
        """Start a worker and wait until it is registered."""
        alive = self.alive(host)
        self.start(host, "cogo", "worker", EXECUTOR_ID=host.name)
        self.until(lambda: self.alive(host) > alive, f"a worker on {host.name}")

    def alive(self, host: Host) -> int:
        """Return the number of workers that have registered on a host."""
        return self.count("select count(*) as n from public.workers where executor_id = %s", host.name)

    def enqueue(self, count: int, *, executor_id: str | None = None, **payload: Any) -> list[UUID]:
        """Enqueue jobs of the family `wait`."""
        job = {"type": "wait", "payload": payload, "executor_id": executor_id, "max_attempts": 20}
        rows = self.owner.execute("select public.enqueue_jobs(%s) as document", [Jsonb([job] * count)]).fetchall()
        return [UUID(job["job_id"]) for job in rows[0]["document"]["jobs"]]

    def jobs(self, ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """Return the rows of jobs."""
        return self.owner.execute("select * from public.jobs where id = any(%s) order by id", [list(ids)]).fetchall()

    def finished(self, ids: Sequence[UUID]) -> bool:
        """Whether all jobs have succeeded."""
        return {job["status"] for job in self.jobs(ids)} == {"succeeded"}

    def running_on(self, host: Host) -> int:
        """Return the number of jobs that run on a host."""
        return self.count(
            "select count(*) as n from public.jobs where status = 'running' and worker_id = %s", host.name
        )

    def count(self, query: Any, *arguments: object) -> int:
        """Return the column `n` of the only row."""
        row = self.owner.execute(query, arguments).fetchone()
        assert row
        return int(row["n"])

    def until(self, probe: Callable[[], T], what: str, seconds: float = 90) -> T:
        """Poll until the result is true, and return it; on a timeout, raise with the logs of the hosts."""
        deadline = time.monotonic() + seconds
        while not (seen := probe()):
            assert time.monotonic() < deadline, f"Not within {seconds:g} s: {what}.\n{self.logs()}"
            time.sleep(0.1)
        return seen

    def logs(self) -> str:
        """Return the ends of the logs of all hosts."""
        texts = {path.name: path.read_text(errors="replace")[-2_000:] for path in self.folder.glob("*.log")}
        return "\n".join(f"--- {name}\n{text}" for name, text in texts.items())


@contextmanager
def world(folder: Path, cluster: Path, **environment: str) -> Iterator[World]:
    """Start the hosts and the database, without workers.

    Args:
        folder: For logs and the home folders of the hosts.
        cluster: The home of a stopped server with a migrated database.
        environment: Further settings of all processes.
    """
    with ExitStack() as stack:
        a, b, c = stack.enter_context(hosts("a", "b", "c"))
        server = stack.enter_context(_database(a, cluster))
        dsn = server.dsn().replace("127.0.0.1", a.address)
        with a.entered():
            owner = stack.enter_context(psycopg.connect(server.dsn(), autocommit=True, row_factory=dict_row))
        given = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": f"{write_entry_point(folder / 'plugins')}:{PROJECT_ROOT}",
            "COGO_DATABASE_URL": dsn,
            "DAGSTER_POSTGRES_URL": dsn.replace("/cogo?", "/dagster?"),
            "COGO_HOME": str(folder / "home"),
            "COGO_LEASE_SECONDS": str(LEASE_SECONDS),
            "COGO_GRACE_SECONDS": "1",
            "COGO_CONCURRENCY": "4",
            "BROWSER_REAL_MODE": "false",
        }
        yield World(a, b, c, folder, {**given, **environment}, owner)


@contextmanager
def _database(host: Host, cluster: Path) -> Iterator[EmbeddedServer]:
    """Run PostgreSQL in the network of a host, accessible to the others without a password."""
    changed: Mapping[str, str] = {"listen_addresses": f"127.0.0.1,{host.address}"}
    with private_server(cluster=cluster) as server:
        with mock.patch.dict(embedded.SETTINGS, changed), host.entered():
            server.start()
            (server.status().data_folder / "pg_hba.conf").write_text(_HBA)
            with psycopg.connect(server.dsn("postgres")) as connection:
                connection.execute("select pg_reload_conf()")
        yield server
