"""`python -m cogo_dagster_tests.fuzz [--cases N] [--seed S] [KIND …]`: generated input; exit 1 if it finds anything.

The total number of cases is distributed over the kinds. The same seed gives the same values.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Final, NoReturn

import psycopg

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.migrate import migrate
from cogo_dagster_tests.fuzz.catalogue import KINDS
from cogo_dagster_tests.fuzz.trial import Kind, Surroundings, Trial
from cogo_dagster_tests.servers import TestServer, private_server

_HANGS_SECONDS: Final = 60
_ALL: Final = sum(cases for _, cases in KINDS.values())


def main() -> int:
    """Run the named kinds, or all."""
    parser = argparse.ArgumentParser(prog="python -m cogo_dagster_tests.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="only these kinds; all by default")
    parser.add_argument("--cases", type=int, default=100_000, help="total number of cases")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if unknown := set(given.kinds) - KINDS.keys():
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; the kinds are {', '.join(KINDS)}")
    began_at, tried, findings = time.monotonic(), 0, []
    with ExitStack() as started:
        server = cache(lambda: started.enter_context(_server()))
        for name in given.kinds or KINDS:
            kind, share = KINDS[name]
            done = _tried(server, kind, max(round(given.cases * share / _ALL), 1), given.seed)
            _say(f"{name}: {done.tried:,} cases, {len(done.findings)} findings, {time.monotonic() - began_at:,.0f} s")
            tried += done.tried
            findings += [f"{name}: {finding}" for finding in done.findings]
    _say(f"{tried:,} cases in {time.monotonic() - began_at:,.0f} s, seed {given.seed}: {len(findings)} findings")
    for finding in findings:
        _say(finding)
    return 1 if findings else 0


def _tried(server: Callable[[], TestServer], kind: Kind, cases: int, seed: int) -> Trial:
    """Run one kind with its own database and folder."""
    with ExitStack() as used:
        # Paths such as ../../etc/passwd stay inside.
        top = used.enter_context(tempfile.TemporaryDirectory(prefix="cogo-fuzz-"))
        folder = Path(top) / "a" / "b" / "c" / "d"
        folder.mkdir(parents=True)
        database = cache(lambda: used.enter_context(server().clone("migrated")))
        trial = Trial(Surroundings(folder, database), cases, seed, _alarmed)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            kind(trial)
    return trial


@contextmanager
def _server() -> Iterator[TestServer]:
    with private_server() as server:
        started: EmbeddedServer = server
        started.start()
        with (
            tempfile.TemporaryDirectory(prefix="cogo-fuzz-") as folder,
            psycopg.connect(started.dsn("postgres"), autocommit=True) as admin,
        ):
            databases = TestServer(started, admin, Path(folder))
            databases.template("migrated", migrate)
            yield databases


@contextmanager
def _alarmed() -> Iterator[None]:
    """Raise in a case that hangs."""

    def hangs(*_: object) -> NoReturn:
        raise TimeoutError(f"The case did not end within {_HANGS_SECONDS} s.")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(_HANGS_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _say(message: str) -> None:
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
