"""`python -m cogo_dagster_tests.chaos --minutes N --seed S`: one run, its numbers, and its violations at the end."""

import argparse
import logging
import shutil
import signal
import sys
from typing import NoReturn

import pytest

from cogo_dagster.queue.migrate import migrate
from cogo_dagster_tests.chaos.clocks import library
from cogo_dagster_tests.chaos.report import lines
from cogo_dagster_tests.chaos.run import Order, run, scratch
from cogo_dagster_tests.servers import private_server


def _end(*_: object) -> NoReturn:
    """Leave no process behind, even after repeated signals."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run, print the report, and return 1 if there are violations."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    parser = argparse.ArgumentParser(prog="python -m cogo_dagster_tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same faults in the same order")
    parser.add_argument("--transport", choices=("postgres", "rest"), default="postgres")
    parser.add_argument("--workers", type=int, default=3, help="number of worker processes")
    parser.add_argument("--postgres", type=int, choices=(15, 18), default=18, help="version of the server")
    parser.add_argument("--no-daemon", action="store_true", help="do not start Dagster's daemon; runs still take part")
    given = parser.parse_args()
    order = Order(
        given.transport, given.seed, given.minutes * 60, given.workers, small_disk=True, daemon=not given.no_daemon
    )
    try:
        library()
    except (pytest.skip.Exception, pytest.fail.Exception) as lacking:
        sys.stderr.write(f"{lacking}\n")
        return 2
    for noisy in ("psycopg.pool", "uvicorn.error"):  # they log the injected faults
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    folder = scratch()
    with private_server(given.postgres) as server:
        server.start()
        dsn = server.dsn("cogo")
        migrate(dsn)
        report = run(dsn, folder, order, server=server, say=lambda message: sys.stderr.writelines([f"{message}\n"]))
    if not report.violations and not report.ended_themselves:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.writelines(f"{line}\n" for line in lines(report))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
