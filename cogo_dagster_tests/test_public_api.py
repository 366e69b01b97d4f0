"""The public API of the package."""

import json
import subprocess
import sys

import cogo_dagster

LOADED = """
import json, sys
import cogo_dagster
ours = ("cogo_dagster", "pydantic", "typer")
print(json.dumps(sorted(name for name in sys.modules if name.partition(".")[0] in ours)))
"""


def test_importing_the_package_imports_nothing_else() -> None:
    """Each name is imported on first access."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["cogo_dagster"]


def test_every_public_name_exists() -> None:
    """There are no others, and each is the same object as the internal one."""
    from cogo_dagster.queue.executor import Executor  # noqa: PLC0415

    found = {name: getattr(cogo_dagster, name) for name in cogo_dagster.__all__}
    assert found["Executor"] is Executor
    assert set(cogo_dagster.__all__) <= set(dir(cogo_dagster))
    assert not hasattr(cogo_dagster, "Executer")
