"""The paths that an isolated command may read: the system and its toolchains, but no file of the worker."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_SYSTEM: Final = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/snap",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/run/systemd/resolve/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf",
    "/var/lib/ca-certificates",
)

_ETC: Final = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "host.conf",
    "hostname",
    "hosts",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "resolv.conf",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)
"""What libraries and compilers need; other files in /etc, even world-readable ones, can contain secrets."""

_TOOLS: Final = (
    ".asdf",
    ".bun/bin",
    ".cargo/bin",
    ".deno/bin",
    ".local/bin",
    ".local/lib",
    ".local/share/mise/installs",
    ".local/share/uv/python",
    ".local/share/uv/tools",
    ".nodenv",
    ".nvm",
    ".pyenv",
    ".rbenv",
    ".rustup/toolchains",
    ".sdkman/candidates",
    ".volta/bin",
    ".volta/tools",
    "go/bin",
)
"""Toolchain folders in a home folder; readable only if PATH or a command refers to them."""

_BESIDE_BIN: Final = ("bin", "include", "lib", "lib64", "libexec", "pyvenv.cfg")
_MAX_LINKS: Final = 40


def readable(
    commands: Iterable[Sequence[str]], env: Mapping[str, str], extra: Iterable[Path], hidden: Iterable[Path]
) -> tuple[str, ...]:
    """Return the paths that commands may read and execute.

    Args:
        commands: The folders of their programs are included.
        env: The folders of its PATH are included.
        extra: Additional folders and files.
        hidden: Folders and files that are excluded, even inside an included folder.
    """
    wanted = [Path(path) for path in _SYSTEM] + [Path("/etc", name) for name in _ETC]
    wanted += [*_toolchains(commands, env), *extra]
    secret = {Path(os.path.realpath(path)) for path in hidden if os.path.lexists(path)}
    found = (place for path in wanted for step in _resolve_links(path) for place in _excluding(step, secret))
    return tuple(dict.fromkeys(str(place) for place in found))


def _toolchains(commands: Iterable[Sequence[str]], env: Mapping[str, str]) -> Iterator[Path]:
    search = env.get("PATH", os.defpath)
    folders = {Path(folder) for folder in search.split(os.pathsep) if folder.startswith("/")}
    programs = {Path(found) for command in commands if (found := shutil.which(command[0], path=search))}
    used = {*folders, *(program.parent for program in programs), *(program.resolve().parent for program in programs)}
    prefixes = {Path(sys.prefix), Path(sys.base_prefix), *(folder.parent for folder in used if folder.name == "bin")}
    prefixes |= {base for prefix in prefixes for base in _base_prefix(prefix)}
    yield from (folder for folder in folders if not _has_home(folder))
    yield from programs
    yield from (prefix / name for prefix in sorted(prefixes) for name in _BESIDE_BIN)
    yield from _home_toolchains(used | prefixes)


def _has_home(folder: Path) -> bool:
    """Return whether a folder is or contains a home folder or a system folder that PATH names by mistake."""
    return folder.resolve() in {Path("/"), *_home().parents, _home(), Path("/etc"), Path("/var"), Path("/tmp")}  # noqa: S108


def _home() -> Path:
    return Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises if it is unknown


def _base_prefix(environment: Path) -> set[Path]:
    """Return the installation folder of a virtual environment's Python."""
    python = environment / "bin" / "python"
    if not (environment / "pyvenv.cfg").is_file() or not python.exists():
        return set()
    return {python.resolve().parent.parent}


def _home_toolchains(used: set[Path]) -> Iterator[Path]:
    for name in _TOOLS:
        top = _home() / Path(name).parts[0]
        if any(path.is_relative_to(top) or path.resolve().is_relative_to(top) for path in used):
            yield _home() / name


def _resolve_links(path: Path) -> Iterator[Path]:
    """Return the symbolic links in a path, and the resolved path."""
    for _ in range(_MAX_LINKS):
        link = next((place for place in (*reversed(path.parents), path) if place.is_symlink()), None)
        if link is None:
            if path.exists():
                yield path
            return
        yield link
        rest = path.relative_to(link)
        path = Path(os.path.normpath(link.parent / link.readlink() / rest))


def _excluding(path: Path, hidden: set[Path]) -> Iterator[Path]:
    """Return a path; for a folder that contains a hidden path, its other content."""
    real = path if path.is_symlink() else Path(os.path.realpath(path))
    if any(real.is_relative_to(secret) for secret in hidden):
        return
    if path.is_symlink() or not any(secret.is_relative_to(real) for secret in hidden):
        yield path
        return
    try:
        entries = sorted(path.iterdir())
    except OSError:
        return
    for entry in entries:
        for step in _resolve_links(entry):
            yield from _excluding(step, hidden)
