"""Installs Debian packages that tests need as the product does: one at a time, never killed while running."""

import os
import shutil

from cogo_dagster.executors.browser.install import APT_LOCK_TIMEOUT_SECONDS, Step, installer
from cogo_dagster.settings import PROJECT_ROOT


def apt_install(*packages: str) -> None:
    """Install packages if this is root on Debian; otherwise do nothing. Failures are only logged."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    apt_get = ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={APT_LOCK_TIMEOUT_SECONDS}"]
    kept = ["-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
    with installer(PROJECT_ROOT / ".cogo" / "install") as steps:
        steps.run(Step("Reading the package lists", [*apt_get, "update"]))
        steps.run(Step(f"Installing {', '.join(packages)}", [*apt_get, "install", *kept, *packages]))
