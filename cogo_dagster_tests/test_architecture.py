"""Style, types, layers, class names and the lock file, checked by their tools."""

import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    ["ruff check .", "ruff format --check .", "mypy", "lint-imports"],
    ids=["style", "format", "types", "layers"],
)
def test_the_project_passes_its_linters(command: str) -> None:
    """The output of a failing tool is shown."""
    tool, *arguments = command.split()
    # Writing mypy's cache, which continuous integration does not keep, takes a fifth of its time.
    given = {**os.environ, "MYPY_CACHE_DIR": os.devnull} if os.environ.get("CI") else None
    said = subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert said.returncode == 0, f"{said.stdout}{said.stderr}"


def test_no_file_contains_conflict_markers() -> None:
    """Git leaves them in a file whose merge was committed without being resolved."""
    command = ["git", "grep", "-nE", "^(<{7}|>{7}) "]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")


def test_a_class_name_names_one_class() -> None:
    """No two modules of the package define classes of the same name."""
    places: defaultdict[str, list[Path]] = defaultdict(list)
    for path, text in _texts():
        for name in re.findall(r"^[ \t]*class (\w+)", text, re.MULTILINE):
            places[name].append(path)
    assert {"Queue", "BrowserExecutor"} <= places.keys()
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_imported_packages_are_requirements() -> None:
    """Every package that the code imports, at its start or later, is installed with the wheel."""
    pattern = r"^[ \t]*(?:import (\w+)|from (\w+)[\w.]* import\b)"
    imported = {"".join(found) for _, text in _texts() for found in re.findall(pattern, text, re.MULTILINE)}
    others = imported - sys.stdlib_module_names - {"cogo_dagster"}
    packages, installed = packages_distributions(), _installed("cogo-dagster")
    assert "dagster" in others
    assert {
        name for name in others if not {canonicalize_name(one) for one in packages[name]} & installed.keys()
    } == set()


JSON_OF_OUR_OWN = {
    "decoded_views.py": "a string that it encoded",
    "executors/isolation/confinement.py": "its child's pipe",
    "executors/isolation/plan.py": "its parent's argument",
    "vault/key_ring.py": "a document that it sealed",
    "queue/decoding.py": "catches RecursionError itself",
    "executors/browser/transport.py": "catches RecursionError itself",
    "testing.py": "a document that it encoded",
    "text.py": "defines load_json",
}


def test_json_from_outside_is_loaded_by_one_function() -> None:
    """`json.loads` raises RecursionError for deep nesting, which callers that expect ValueError do not catch."""
    package = ROOT / "cogo_dagster"
    used = {str(path.relative_to(package)) for path, text in _texts() if re.search(r"\bjson\.loads?\b", text)}
    assert used - JSON_OF_OUR_OWN.keys() == set()


def test_the_lock_pins_the_resolved_packages() -> None:
    """It has every required package at the installed version, and no others."""
    assert _pinned_here() == _installed("cogo-dagster")


def test_uv_resolves_to_the_pins_of_the_lock() -> None:
    """Even if the index has newer releases, every installation gets the same versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = project["tool"]["uv"]["constraint-dependencies"]
    locked = {line.strip() for line in re.findall(r"^[^\s#-][^\\\n]*", LOCK, flags=re.MULTILINE)}
    # If a group supports more platforms than the package, its pin has no marker.
    assert {line.partition(" ;")[0] for line in locked} <= {line.partition(" ;")[0] for line in pins}


def test_the_lock_has_hashes_and_no_urls() -> None:
    """Each package has hashes, and no URL of an index is in the lock."""
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in LOCK


@cache
def _texts() -> list[tuple[Path, str]]:
    """Return the modules of the package."""
    return [(path, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "cogo_dagster").rglob("*.py"))]


def _pinned_here() -> dict[str, str]:
    pinned: dict[str, str] = {}
    for line in re.findall(r"^[^\s#-][^\\\n]*", LOCK, flags=re.MULTILINE):
        requirement = Requirement(line.strip())
        if requirement.marker is None or requirement.marker.evaluate():
            pinned[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return pinned


@cache
def _installed(root: str) -> dict[str, str]:
    """Return the requirements of a package on this machine, recursively."""
    found: dict[str, str] = {}
    waiting = [Requirement(root)]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        for needed in _needs(wanted):
            found[canonicalize_name(needed.name)] = distribution(needed.name).version
            if str(needed) not in seen:
                seen.add(str(needed))
                waiting.append(needed)
    return found


def _needs(wanted: Requirement) -> list[Requirement]:
    requirements = map(Requirement, distribution(wanted.name).requires or [])
    extras = ["", *wanted.extras]
    return [
        needed
        for needed in requirements
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
    ]
