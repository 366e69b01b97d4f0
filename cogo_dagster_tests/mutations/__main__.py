"""`python -m cogo_dagster_tests.mutations [NAME …]`: show which mutations the tests detect; exit 1 if one survives."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.mutations.catalogue import MUTATIONS
from cogo_dagster_tests.mutations.mutation import Mutation

_COPIED: Final = ("cogo_dagster", "cogo_dagster_tests", "sql", "docs", "supabase", "pyproject.toml")
_ONE_CASE: Final = ["-k", "not pg15 and not supabase"]
"""All versions and transports run the same statements: one pair of them is sufficient."""
_TIMEOUT_SECONDS: Final = 300
_TESTS_FAILED: Final = 1


def mutated(text: str, mutation: Mutation) -> str:
    """Return a file's text with the fault.

    Raises:
        ValueError: The file does not contain the old text exactly once.
    """
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.name}: {mutation.file} contains the text {text.count(mutation.old)} times.")
    return text.replace(mutation.old, mutation.new)


def main() -> int:
    """Run the named mutations, or all."""
    parser = argparse.ArgumentParser(prog="python -m cogo_dagster_tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these; all by default")
    given = parser.parse_args()
    chosen = [one for one in MUTATIONS if not given.names or one.name in given.names]
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cogo-mutations-") as folder:
        survivors = [one.name for one in chosen if not _is_detected(one, _copy(Path(folder) / "project"))]
    seconds = time.monotonic() - began_at
    _print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutations detected in {seconds:.0f} s")
    for name in survivors:
        _print(f"survived: {name}")
    return 1 if survivors else 0


def _copy(project: Path) -> Path:
    if not project.exists():
        project.mkdir()
        for name in _COPIED:
            source = PROJECT_ROOT / name
            if source.is_dir():
                shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, project / name)
    return project


def _is_detected(mutation: Mutation, project: Path) -> bool:
    file = project / mutation.file
    sound = file.read_text()
    file.write_text(mutated(sound, mutation))
    try:
        detected = next(
            (f"{Path(test).name}{how}" for test in mutation.tests if (how := _fails(project, [test]))), None
        )
    finally:
        file.write_text(sound)
    _print(f"{f'detected by {detected}' if detected else 'SURVIVED'}: {mutation.name}")
    return detected is not None


def _fails(project: Path, tests: Sequence[str]) -> str | None:
    """Return which test detected it: it failed, or did not end, as also happens under load; None if all passed."""
    words = [sys.executable, "-m", "pytest", *tests, "-n", "0", "-x", "-q", "-p", "no:cacheprovider", *_ONE_CASE]
    environment = {**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*words, "--timeout", "60"],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f" (not finished after {_TIMEOUT_SECONDS} s)"
    if done.returncode not in (0, _TESTS_FAILED) and "Timeout" not in done.stdout + done.stderr:
        raise RuntimeError(f"The tests could not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    if not done.returncode:
        return None
    failed = next((line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED ")), "")
    return f" {failed.rpartition('::')[2]}{' (timed out)' if 'Timeout' in done.stdout else ''}"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
