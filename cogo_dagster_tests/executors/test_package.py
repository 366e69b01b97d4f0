"""The package of docs/executors.md, as its author would build, type-check, test and install it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from uuid import UUID
from zipfile import ZipFile

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.cli.terminal import terminal

TOOLS = Path(sys.executable).parent

MYPY = """
[mypy]
strict = true

[mypy-cryptography.*,dagster.*,fsspec.*,httpcore.*,httpx.*,psycopg.*,realtime.*,rich.*,slack_sdk.*]
follow_imports = skip

[mypy-standardwebhooks.*,supabase.*]
follow_imports = skip
"""
"""Thousands of modules that this project uses internally: the types that the package uses do not depend on them."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the files that the page shows."""
    text = (PROJECT_ROOT / "docs" / "executors.md").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("cogo-words")
    files = re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for name, content in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    assert [name for name, _ in files] == ["pyproject.toml", "cogo_words/__init__.py", "test_words.py"]
    return folder


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into a folder for PYTHONPATH."""
    built, folder = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    command = ["uv", "build", "-q", "--wheel", "--no-config", "--out-dir", str(built), str(source)]
    subprocess.run(command, check=True, timeout=120)
    [wheel] = built.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_package_is_typed_and_a_misspelt_attribute_is_found(source: Path, tmp_path: Path) -> None:
    """`mypy --strict` accepts the package, and finds misspelt attributes of the job and of its payload in a copy.

    It runs without this project's configuration.
    """
    copytree(source, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "cogo_words" / "__init__.py").read_text(encoding="utf-8")
    (tmp_path / "misspelt.py").write_text(text.replace("job.payload.text", "job.payload.txet + job.typ"))
    (tmp_path / "mypy.ini").write_text(MYPY, encoding="utf-8")
    options = ["--config-file", "mypy.ini", "--cache-dir", os.devnull, "--python-executable", sys.executable]
    command = [str(TOOLS / "mypy"), *options, "."]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    assert '"WordsPayload" has no attribute "txet"' in found.stdout
    assert '"Job[WordsPayload]" has no attribute "typ"' in found.stdout
    *errors, summary = found.stdout.splitlines()
    assert [line for line in errors if not line.startswith("misspelt.py:")] == []
    assert "errors in 1 file (checked 3 source files)" in summary
    assert found.returncode == 1


def test_the_packages_own_test_passes(source: Path, installed: Path) -> None:
    """The package's own test passes without a database."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_words.py"]
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "COGO_DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # those of this project's development dependencies
        "PYTEST_ADDOPTS": "",  # options of those plugins
    }
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_its_jobs_are_enqueued_and_run(
    installed: Path, tmp_path: Path, dsn: str, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid payload is rejected by the base class, and a valid job succeeds with its artifact."""
    monkeypatch.syspath_prepend(str(installed))
    cogo = terminal(tmp_path, dsn, {"PYTHONPATH": str(installed), "BROWSER_REAL_MODE": "false"})
    error = cogo.run("enqueue", "idempotent", "--type", "words", "--payload", "{}")
    assert error.code != 0
    assert "The payload has no text." in error.err
    job = cogo.ok("enqueue", "idempotent", "--type", "words", "--payload", '{"text": "one two three"}')
    with cogo.start("worker", "--drain") as worker:
        done = worker.wait()
    assert done.code == 0, done.err
    [row] = queue.get_jobs([UUID(job["job_id"])])
    assert (row.document["status"], row.document["result"]) == ("succeeded", {"words": 3})
    assert [artifact["name"] for artifact in row.document["artifacts"]] == ["words.txt"]
