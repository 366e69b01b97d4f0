"""A code server that a script starts in the background."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.cli.terminal import eventually
from cogo_dagster_tests.ports import reserved_port
from cogo_dagster_tests.processes import lives


def test_a_code_server_in_the_background_ends_on_sigterm(dsn: str, dagster_dsn: str, tmp_path: Path) -> None:
    """The shell makes it ignore SIGINT, whose handler Dagster uses for SIGTERM."""
    environment = {
        **os.environ,
        "COGO_DATABASE_URL": dsn,
        "DAGSTER_POSTGRES_URL": dagster_dsn,
        "DAGSTER_HOME": str(PROJECT_ROOT),
        "COGO_HOME": str(tmp_path),
    }
    log = tmp_path / "server.log"
    with reserved_port() as port:
        program = Path(sys.executable).with_name("dagster")
        server = f"{program} api grpc --port {port} --module-name cogo_dagster.definitions"
        script = f"{server} > {log} 2>&1 & echo $!"
        started = subprocess.run(
            ["sh", "-c", script], env=environment, cwd=PROJECT_ROOT, capture_output=True, check=True
        )
    pid = int(started.stdout)
    try:
        eventually(lambda: "Started Dagster code server" in log.read_text(), 90)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not lives(pid), 30)
    finally:
        if lives(pid):
            os.kill(pid, signal.SIGKILL)
