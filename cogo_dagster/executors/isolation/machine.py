"""The isolation mechanisms of this machine."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from cogo_dagster.executors.isolation import landlock, seccomp
from cogo_dagster.executors.isolation.accounts import UIDS
from cogo_dagster.executors.isolation.plan import Plan

_PROBE_SECONDS: Final = 60.0
_PACKAGE: Final = Path(__file__).resolve().parents[2]
_CODE: Final = """
import sys, types
for name, folder in (("cogo_dagster", sys.argv[1]), ("cogo_dagster.executors", sys.argv[1] + "/executors")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from cogo_dagster.executors.isolation.launcher import main
main(sys.argv[2:])
"""
"""Runs the launcher without importing its parent packages."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """The isolation mechanisms that work on this machine.

    Attributes:
        root: Whether the worker is root, so that commands run with a separate account.
        landlock: The Landlock version; 0 for none.
        namespaces: Whether namespaces can be created.
        seccomp: Whether system calls can be filtered.
    """

    root: bool
    landlock: int
    namespaces: bool
    seccomp: bool = True

    @property
    def possible(self) -> bool:
        """Whether a command can be isolated from the worker's secrets."""
        return self.namespaces or self.landlock > 0

    @property
    def restricts_ports(self) -> bool:
        """Whether TCP ports can be allowed individually."""
        return self.landlock >= landlock.NET_ABI

    def description(self) -> str:
        """Return a description of the mechanisms in use."""
        mechanisms = ["a separate account"] if self.root else []
        mechanisms += ["namespaces"] if self.namespaces else []
        mechanisms += [f"Landlock (version {self.landlock})"] if self.landlock else []
        separator = " and " if mechanisms[1:] else ""
        return f"Gate commands are isolated with {', '.join(mechanisms[:-1])}{separator}{mechanisms[-1]}."

    def gaps(self) -> list[str]:
        """Return what is not protected, or does not work, on this machine."""
        found = []
        if not self.restricts_ports:
            found.append("commands have no network, since TCP ports can only be restricted on Linux 6.7 or newer")
        if not self.namespaces and not self.root:
            found.append("commands can change modes, timestamps and attributes of the worker's files")
            if self.landlock < landlock.TRUNCATE_ABI:
                found.append("commands can truncate toolchain files that belong to the worker's account")
            if self.landlock < landlock.SCOPE_ABI:
                found.append("commands can send signals to the worker's processes")
        if not self.namespaces:
            found.append("commands see the names of all processes")
        return found


@cache
def isolation() -> Isolation:
    """Return the mechanisms of this machine; tested once per process, which takes about 0.1 s."""
    root = sys.platform == "linux" and os.geteuid() == 0
    version = landlock.abi()
    known = sys.platform == "linux" and seccomp.available()
    return Isolation(root, version if known else 0, known and _namespaces_work(root=root), known)


def is_possible() -> bool:
    """Return whether a command can be isolated here; tests only as much as necessary."""
    return (landlock.abi() > 0 and seccomp.available()) or isolation().possible


def launcher(plan: Plan) -> list[str]:
    """Return the arguments to put before a command."""
    return [sys.executable, "-I", "-S", "-c", _CODE, str(_PACKAGE), plan.dumps()]


def _namespaces_work(*, root: bool) -> bool:
    with tempfile.TemporaryDirectory(prefix="cogo-probe-") as folder:
        read = tuple(path for path in ("/usr", "/etc/hosts") if Path(path).exists())
        plan = Plan(read, (), f"{folder}/report", True, 0, UIDS.start if root else None, "none")
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                launcher(plan), cwd="/", env={}, capture_output=True, timeout=_PROBE_SECONDS, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0
