"""Minimal root directories of Debian, by debootstrap, from the mirror that this machine's apt is configured for."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

_INCLUDED: Final = ("git", "ca-certificates", "sudo", "procps")
"""Packages that a machine has after a repository was cloned."""


def debian(suite: str, folder: Path) -> Path:
    """Return a root directory, created once and not written to afterwards."""
    root = folder / suite
    if not root.exists():
        _require_debootstrap()
        unfinished = folder / f"{suite}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        included = f"--include={','.join(_INCLUDED)}"
        command = ["debootstrap", "--variant=minbase", included, suite, str(unfinished), mirror()]
        with (folder / f"{suite}.log").open("wb") as log:
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
        unfinished.rename(root)
    return root


def mirror() -> str:
    """Return the URL from which apt gets Debian's main archive.

    Raises:
        RuntimeError: apt is not configured for Debian.
    """
    command = ["apt-get", "indextargets", "--format", "$(SITE) $(LABEL) $(COMPONENT)", "Created-By: Packages"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sites = [line.split()[0] for line in output.splitlines() if line.endswith(" Debian main")]
    if not sites:
        raise RuntimeError("apt on this machine has no mirror of Debian: run this on Debian.")
    return sites[0]


def _require_debootstrap() -> None:
    if shutil.which("debootstrap") is None:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"], check=True)
