"""Runs an edge function as it is deployed, under Deno, without a network beyond this machine."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deno import find_deno_bin  # type: ignore[import-untyped]

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.cli.terminal import eventually

FUNCTIONS: Final = PROJECT_ROOT / "supabase" / "functions"


def deno(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of Deno over the functions' folder."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"DENO_DIR": cache, "NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"}
        return subprocess.run(
            [str(find_deno_bin()), *words], cwd=FUNCTIONS, env=environment, capture_output=True, text=True, check=False
        )


@contextmanager
def served(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve a function and yield its address; it may reach this machine and read these variables only."""
    command = [
        str(find_deno_bin()),
        "run",
        "--no-remote",
        "--allow-net=127.0.0.1",
        "--allow-env",
        str(FUNCTIONS / name / "index.ts"),
    ]
    with tempfile.TemporaryDirectory() as cache:
        log = Path(cache) / "log"
        given = {
            "DENO_DIR": cache,
            "NO_COLOR": "1",
            "DENO_SERVE_ADDRESS": "tcp:127.0.0.1:0",
            "PATH": os.environ["PATH"],
        }
        with log.open("w") as out:
            process = subprocess.Popen(command, env=given | dict(environment), stdout=out, stderr=out)
        try:
            yield str(eventually(lambda: _address(process, log)))
        finally:
            process.kill()
            process.wait()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str | None:
    """Return where it says that it listens."""
    said = log.read_text()
    assert process.poll() is None, f"The function does not start: {said}"
    found = re.search(r"http://127\.0\.0\.1:\d+", said)
    return found[0] if found else None
