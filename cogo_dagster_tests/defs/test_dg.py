"""Dagster's `dg` in a clone without services and settings."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.servers import swept_home

pytestmark = pytest.mark.timeout(240)

COMMANDS = (["check", "defs"], ["list", "defs", "--json"], ["list", "components", "--json"])

PROGRAM = """
import gc
import json
import sys
from pathlib import Path
# jsonschema imports it for the format `iri`, which no component has; compiling its grammars takes two seconds.
sys.modules["rfc3987_syntax"] = None
gc.disable()  # it takes a tenth of the time of imports
import dagster as dg
from click.testing import CliRunner
from dagster_dg_cli.cli import ENV_PREFIX, cli
from cogo_dagster.queue.embedded import EmbeddedServer
project, home, commands = sys.argv[1:]
server = EmbeddedServer(Path(home))
with dg.DagsterInstance.from_config(project) as instance:
    print(json.dumps([server.status().running]), flush=True)
    for words in json.loads(commands):
        done = CliRunner().invoke(cli, words, auto_envvar_prefix=ENV_PREFIX)
        print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
    print(json.dumps([len(instance.get_runs(limit=1)), server.status().running]))
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a home folder, whose server is removed with it."""
    with swept_home(uuid4().hex[:12]) as folder:
        yield folder


def test_dg_checks_and_lists_the_definitions(home: Path) -> None:
    """The first use of Dagster's storage, here by `dg check`, starts the embedded server until its process exits.

    No command is necessary before `dagster` or `dg`, and an instance alone starts nothing. The commands run in one
    process, since the import of Dagster takes most of their time.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "COGO_HOME": str(home), "COLUMNS": "400"}
    environment["VIRTUAL_ENV"] = sys.prefix
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(PROJECT_ROOT), str(home), json.dumps(COMMANDS)],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    before, checked, definitions, components, after = map(json.loads, ran.stdout.splitlines())
    assert (before, after) == ([False], [0, True])
    assert checked[0] == 0, checked
    assert "All definitions loaded successfully." in checked[1]
    assert definitions[0] == 0, definitions
    assert '"process_jobs"' in definitions[1]
    assert '"gate_snapshot"' in definitions[1]
    assert "cogo_dagster.BrowserJob" in components[1], components
    assert (home / "postgres").is_dir()
    assert not EmbeddedServer(home).status().running
