"""The compared queues, each with the fast settings of its documentation."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

SOURCES: Final = Path(__file__).parent
NODE_FOLDER: Final = SOURCES.parent / ".peers"
INSTALL_TIMEOUT_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Peer:
    """A queue.

    Attributes:
        name: The name in the tables.
        program: A module of this package, or a script for Node.js.
        packages: The packages whose versions are reported.
        unfinished: A query that returns whether any job is unfinished.
        remaining: The same for `%(jobs)s` jobs since `%(since)s`, if `unfinished` is slow while a snapshot is held: in
            the third drain it took 40 ms of 440, since it read all dead rows. It confirms the result at the end.
        jobs: The maximum number of jobs, for a slow queue.
        settings: The settings for the report.
        environment: Environment variables of its program.
        in_all: Whether all measurements include it, or only plain drains.
    """

    name: str
    program: str
    packages: tuple[str, ...]
    unfinished: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None
    in_all: bool = True
    remaining: str | None = None

    @property
    def needs_node(self) -> bool:
        """Whether it runs in Node.js."""
        return self.program.endswith(".mjs")

    def command(self) -> tuple[Sequence[str], str | None]:
        """Return the command and its working folder."""
        if self.needs_node:
            node = NODE_FOLDER / "node_modules" / ".bin" / "node"
            return [str(node), str(SOURCES / self.program)], str(NODE_FOLDER)
        return [sys.executable, "-m", f"benchmarks.peers.{self.program}"], None

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages.

        Raises:
            PeerMissing: The peer is not installed and cannot be installed; the message contains the reason.
        """
        if self.needs_node:
            _install_node_peers()
            return {name: _node_version(name) for name in self.packages}
        try:
            return {name: version(name) for name in self.packages}
        except PackageNotFoundError as error:
            raise PeerMissing(f"{error}: run with `uv run --group bench`.") from error


class PeerMissing(Exception):
    """A peer is not installed."""


_OURS: Final = (
    "select exists (select from public.jobs where status = 'queued')"
    " or exists (select from public.jobs where status = 'running')"
)

COGO: Final = Peer(
    name="cogo",
    program="cogo",
    packages=("cogo-dagster", "psycopg"),
    unfinished=_OURS,
    settings={"concurrency": 500, "prefetch": 0},
    remaining=(
        "select count(*) < %(jobs)s from public.jobs"
        " where status = 'succeeded' and finished_at >= %(since)s::timestamptz"
    ),
)

GRAPHILE: Final = "graphile-worker"
PG_BOSS: Final = "pg-boss"


def _variant(name: str, **environment: str) -> Peer:
    environment = {f"COGO_BENCHMARK_{key.upper()}": value for key, value in environment.items()}
    return replace(COGO, name=name, environment=environment, settings=environment, in_all=False)


COGO_FILE: Final = _variant("cogo, @jobs.jsonl", file="1")
"""Measured in bulk only: its jobs are those of an installed executor."""

PEERS: Final = (
    COGO,
    _variant("cogo, 50 slots", concurrency="50"),
    _variant("cogo, 100 slots", concurrency="100"),
    _variant("cogo, CLI log", observer="cli"),
    _variant("cogo, Dagster", observer="dagster"),
    _variant("cogo, keys", keys="1"),
    Peer(
        name=GRAPHILE,
        program="graphile.mjs",
        packages=("graphile-worker", "pg", "node"),
        unfinished="select exists (select from graphile_worker._private_jobs)",
        settings={"concurrentJobs": 10, "localQueue.size": 500, "completeJobBatchDelay": 0},
    ),
    Peer(
        name=PG_BOSS,
        program="pgboss.mjs",
        packages=("pg-boss", "pg", "node"),
        unfinished="select exists (select from pgboss.job where name = 'noop' and state < 'completed')",
        settings={"batchSize": 100, "localConcurrency": 10, "burstWhenBatchFull": True, "notify": True},
    ),
    Peer(
        name="pgqueuer",
        program="pgqueuer",
        packages=("pgqueuer", "asyncpg", "uvloop"),
        unfinished="select exists (select from pgqueuer)",
        settings={"batch_size": 100, "max_concurrent_tasks": 200},
    ),
    Peer(
        name="procrastinate",
        program="procrastinate",
        packages=("procrastinate", "psycopg"),
        unfinished="select exists (select from procrastinate_jobs where status in ('todo', 'doing'))",
        settings={"concurrency": 10},
        jobs=2_000,
    ),
    Peer(
        name="naive",
        program="naive",
        packages=("psycopg",),
        unfinished=_OURS,
        settings={"calls": "claim_one_job, complete_job"},
        jobs=2_000,
        in_all=False,
    ),
)


@cache
def _install_node_peers() -> None:
    """Install the Node.js peers once, in a folder that Git ignores."""
    NODE_FOLDER.mkdir(exist_ok=True)
    wanted, installed = SOURCES / "package.json", NODE_FOLDER / "package.json"
    if installed.exists() and installed.read_bytes() == wanted.read_bytes() and (NODE_FOLDER / "node_modules").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise PeerMissing("npm is not installed")
    shutil.copy(wanted, installed)
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(
            command, cwd=NODE_FOLDER, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        installed.unlink()
        raise PeerMissing(f"npm install failed: {(error.stderr or '')[-500:]!s}") from error


def _node_version(package: str) -> str:
    description = json.loads((NODE_FOLDER / "node_modules" / package / "package.json").read_text())
    return str(description["version"])
