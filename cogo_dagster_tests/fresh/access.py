"""This machine's configuration of package indexes, read when needed and not stored here."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_VARIABLES: Final = re.compile(
    r"(?i)(pip|uv|npm_config)_\w+|(https?|all|no)_proxy|(ssl_cert|requests_ca|curl_ca|node_extra_ca)\w*"
)
_TESTS: Final = "PYTEST_ADDOPTS"
_NOT: Final = re.compile(r"(?i)uv(_run_recursion_depth|_no_sync|_project_environment|_cache_dir)?$|pip_cache_dir$")
_SYSTEM: Final = ("/etc/pip.conf", "/etc/xdg/pip", "/etc/uv", "/etc/npmrc", "/etc/resolv.conf", "/etc/hosts")
_OWN: Final = (".config/pip", ".config/uv", ".npmrc")
_ACQUIRE: Final = re.compile(r"Acquire::(https?|Check)\b")
_PATHS: Final = re.compile(r"(?:^|(?<=[\s=:'\"])|(?<=file://))(/(?:etc|opt|usr/local|srv|var)/[\w./+-]+)", re.MULTILINE)


def variables() -> dict[str, str]:
    """Return the environment variables that package managers and pytest read."""
    ours = {
        name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name) and not _NOT.fullmatch(name)
    }
    return ours | {_TESTS: os.environ.get(_TESTS, "-v")}  # print the name of each running test


def shared_paths(home: str) -> dict[Path, str]:
    """Return files and folders of this machine to share, and their paths on another one.

    Args:
        home: The home folder of the account on the other machine.
    """
    files = {Path(name): name for name in _SYSTEM if Path(name).exists()}
    own = {Path.home() / name: f"{home}/{name}" for name in _OWN if (Path.home() / name).exists()}
    apt = {file: str(file) for file in Path("/etc/apt/apt.conf.d").glob("*") if _ACQUIRE.search(_text(file))}
    found = files | own
    named = {path: str(path) for text in (*variables().values(), *_texts(found)) for path in _named(text)}
    given = found | apt | named
    return {path: place for path, place in given.items() if not given.keys() & set(path.parents)}


def _texts(paths: dict[Path, str]) -> Iterator[str]:
    for path in paths:
        yield from map(_text, path.rglob("*") if path.is_dir() else [path])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except PermissionError:
        return ""


def _named(text: str) -> Iterator[Path]:
    for name in _PATHS.findall(text):
        if (Path(name).exists() and not name.startswith("/etc/ssl/certs/")) or Path(name).is_file():
            yield Path(name)
