"""Reports of real tools: ESLint on an npm package, pytest with coverage.py on a PyPI source archive."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from cogo_dagster.queue.embedded.locks import locked
from cogo_dagster_tests.archives import extract
from cogo_dagster_tests.npm import CACHE, npm_package

TESTED = "six==1.17.0"

_RULES = """
export default [{files: ["**/*.js"], rules: {"no-var": "error", "no-unused-vars": "warn", "prefer-const": "error"}}];
"""


def eslint_report(folder: Path) -> Path:
    """Lint the npm package `ms`, which uses `var`; ESLint exits with 1, since it finds errors."""
    eslint = npm_package("eslint")
    source = folder / "ms"
    shutil.copytree(npm_package("ms"), source)
    (source / "eslint.config.mjs").write_text(_RULES)
    report = folder / "eslint.json"
    node = shutil.which("node")
    assert node is not None
    command = [node, str(eslint / "bin" / "eslint.js"), "-f", "json", "-o", str(report), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return report


def package_reports() -> Path:
    """Return a folder with coverage and JUnit reports of a PyPI package's own tests, created once in all formats."""
    home = CACHE.parent / "sdist" / TESTED
    home.mkdir(parents=True, exist_ok=True)
    with locked(home.parent / "sdist.lock"):
        if not (home / "complete").exists():
            _test(home)
            (home / "complete").touch()
    return home


def _test(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    alone = ["uv", "run", "-q", "--no-project", "--python", sys.executable]
    _do(
        [
            *alone,
            "--with",
            "pip",
            "--with",
            "setuptools",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--no-build-isolation",
            TESTED,
        ],
        home,
    )
    [archive] = home.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        extract(tar, home)
    [source] = [path for path in home.iterdir() if path.is_dir()]
    python = [*alone, "--with", "pytest", "--with", "coverage", "--with", "setuptools", "python", "-m"]
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={home}/junit.xml", "test_six.py"]
    _do([*python, "coverage", "run", "--source=.", *tests], source)
    for kind in ("json", "xml", "lcov"):
        _do([*python, "coverage", kind, "-o", str(home / f"coverage.{kind}")], source)


def _do(command: list[str], folder: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTEST_ADDOPTS")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
