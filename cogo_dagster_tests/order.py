"""Distribution of the tests over processes: their number, and the files that run first."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MORE_THAN_CORES: Final = 2
"""Half of the time a test waits: for a browser, a child process, a lease."""

MAX_PROCESSES: Final = 6
"""All processes share a server with 200 connections."""

FIRST: Final = (
    "e2e/test_dev.py",
    "cli/test_worker.py",
    "proofs/test_laws.py",
    "web/test_browser.py",
    "e2e/test_wheel.py",
    "chaos/test_chaos.py",
    "executors/test_browser_lifecycle.py",
    "executors/test_browser_failures.py",
    "executors/isolation/test_builds.py",
    "sql/test_lock_order.py",
    "test_architecture.py",
    "executors/test_browser_notes.py",
    "proofs/test_plans.py",
    "fuzz/test_fuzz.py",
    "web/test_command.py",
    "web/test_actions.py",
    "e2e/test_demo.py",
    "test_mirrors.py",
    "defs/test_instance.py",
    "queue/test_embedded.py",
    "web/test_unreadable.py",
    "supabase/test_functions.py",
    "supabase/test_workflow.py",
    "executors/test_package.py",
    "sql/test_adoption.py",
    "worker/test_containment.py",
    "vault/test_deployed.py",
    "proofs/test_lease_machine.py",
    "web/test_api.py",
    "stores/test_owner.py",
    "test_supply_chain.py",
    "defs/test_zombies.py",
    "defs/test_gate.py",
    "quality/test_gate.py",
    "e2e/test_demo_failures.py",
    "executors/isolation/test_attack.py",
    "alerts/test_load.py",
    "worker/test_fault_points.py",
    "proofs/test_pooler_conformance.py",
)
"""The slowest files: started last, they would delay the end of the run."""

_PLACES: Final = {name: number for number, name in enumerate(FIRST)}
_ROOT: Final = Path(__file__).parent


def processes() -> int:
    """Return the number of processes for this machine."""
    return min((os.cpu_count() or 1) + MORE_THAN_CORES, MAX_PROCESSES)


def place(file: Path) -> int:
    """Return the position of a file's tests; unnamed files come last."""
    return _PLACES.get(file.relative_to(_ROOT).as_posix(), len(FIRST))


def missing_files() -> Sequence[str]:
    """Return the named files that do not exist."""
    return [name for name in FIRST if not (_ROOT / name).is_file()]
