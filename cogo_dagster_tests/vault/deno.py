"""Runs edge functions as deployed, under Deno, with loopback network access only."""

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


def deno(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of Deno in the folder of the functions."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"DENO_DIR": cache, "NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"}
        return subprocess.run(
            [str(find_deno_bin()), *arguments],
            cwd=FUNCTIONS,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def served(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve a function and yield its URL; it may access the loopback network and these variables only."""
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
    """Return the URL from the log, once the function listens."""
    output = log.read_text()
    assert process.poll() is None, f"The function does not start: {output}"
    found = re.search(r"http://127\.0\.0\.1:\d+", output)
    return found[0] if found else None
