"""Distribution of the tests over processes: their number, and the files that run first."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

MORE_THAN_CORES: Final = 2
"""Half of the time a test waits: for a browser, a child process, a lease."""

MAX_PROCESSES: Final = 6
"""All processes share a server with 200 connections."""

FIRST: Final = (
    "e2e/test_dev.py",
    "cli/test_worker.py",
    "web/test_browser.py",
    "executors/test_browser_failures.py",
    "executors/test_browser_lifecycle.py",
    "proofs/test_laws.py",
    "worker/test_unknown_errors.py",
    "chaos/test_chaos.py",
    "executors/isolation/test_builds.py",
    "worker/test_containment.py",
    "proofs/test_plans.py",
    "web/test_unreachable.py",
    "hosts/test_workers.py",
    "defs/test_instance.py",
    "queue/conformance/test_job_periods.py",
    "sql/test_live_migration.py",
    "proofs/test_pooler_conformance.py",
    "stores/test_owner.py",
    "queue/test_embedded.py",
    "worker/test_outage.py",
    "worker/test_fault_points.py",
    "defs/test_process_jobs.py",
    "executors/test_browser_notes.py",
    "web/test_unreadable.py",
    "executors/test_figma_exports.py",
    "test_mirrors.py",
    "quality/test_gate.py",
    "sql/test_lock_order.py",
    "proofs/test_depth.py",
    "web/test_operator_tasks.py",
    "worker/test_leases.py",
    "sql/test_adoption.py",
    "supabase/test_functions.py",
    "queue/test_transport_supabase.py",
    "defs/test_dg.py",
    "web/test_command.py",
    "compatibility/test_last_release.py",
    "drill/test_drill.py",
    "sql/test_closed_after_each_file.py",
    "stores/test_bucket.py",
    "executors/test_browser_files.py",
    "executors/test_figma_failures.py",
    "supabase/test_stand_in.py",
    "stores/test_conformance.py",
    "worker/test_artifacts.py",
    "e2e/test_demo_failures.py",
    "sql/test_migrate.py",
    "cli/test_operators.py",
    "worker/test_realtime.py",
)
"""The slowest files: started last, they would delay the end of the run."""

_PLACES: Final = {name: number for number, name in enumerate(FIRST)}
_ROOT: Final = Path(__file__).parent


def processes() -> int:
    """Return the number of processes for this machine."""
    return min((os.cpu_count() or 1) + MORE_THAN_CORES, MAX_PROCESSES)


@cache
def place(file: Path) -> int:
    """Return the position of a file's tests; unnamed files come last."""
    return _PLACES.get(file.relative_to(_ROOT).as_posix(), len(FIRST))


def missing_files() -> Sequence[str]:
    """Return the named files that do not exist."""
    return [name for name in FIRST if not (_ROOT / name).is_file()]
