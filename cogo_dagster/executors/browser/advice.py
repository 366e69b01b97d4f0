"""Commands that install what a browser needs on this machine."""

import platform
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from cogo_dagster.settings import is_root

_LOADER: Final = re.compile(r"error while loading shared libraries: (\S+?): ")
_PACKAGES: Final = {"libatomic.so.1": "libatomic1", "libstdc++.so.6": "libstdc++6"}
"""Libraries that Node.js needs, with their Debian packages."""

_OWN_FONTS: Final = (
    "pip install --no-deps --target ~/.local/share/fonts manimgx-fonts-cjk==2026.9.26.post1 "
    "manimgx-fonts==2026.9.26.post1"
)
"""Packages that contain only Noto fonts, under the SIL Open Font License."""

FONT_PACKAGES: Final = ("fonts-noto-cjk", "fonts-noto-color-emoji")


def as_root(command: str) -> str:
    """Return the command with `sudo` or `su` in front unless this process is root; `su` asks for root's password."""
    if is_root():
        return command
    return f"sudo {command}" if shutil.which("sudo") else f"su -c {shlex.quote(command)}"


def playwright_command(*arguments: str) -> str:
    """Return a command of this installation's Playwright that works in any working directory."""
    program = Path(sys.executable).with_name("playwright")
    return shlex.join(
        [str(program), *arguments] if program.is_file() else [sys.executable, "-m", "playwright", *arguments]
    )


def browser_commands() -> str:
    """Return alternative commands that install a browser on this machine."""
    whole = playwright_command("install", "--with-deps", "chromium-headless-shell")
    if _distribution() == "debian":
        return f"`{as_root('apt-get install chromium')}`, or `{whole}`"
    if platform.system() == "Darwin":
        return f"`brew install --cask google-chrome`, or `{whole}`"
    return f"`{whole}`, or the package of Google Chrome"


def missing_library(output: str) -> str | None:
    """Return the shared library that the loader reports as missing in a program's output, or None."""
    found = _LOADER.search(output)
    return found[1] if found else None


def library_command(library: str) -> str:
    """Return the command that installs a library needed by Node.js."""
    return as_root(f"apt-get install {_PACKAGES[library]}") if library in _PACKAGES else f"install {library}"


def browser_libraries_command(wanted: str = "chromium-headless-shell") -> str:
    """Return the Playwright command that installs the libraries needed by a downloaded browser."""
    return as_root(playwright_command("install-deps", wanted))


def fonts_advice() -> str:
    """Return how to install fonts for every script on this machine, with and without root."""
    own = f"uv {_OWN_FONTS}" if shutil.which("uv") else f"{shlex.quote(sys.executable)} -m {_OWN_FONTS}"
    if shutil.which("apt-get"):
        return f"Run `{as_root('apt-get install ' + ' '.join(FONT_PACKAGES))}`, or without root `{own}`."
    return f"Install the Noto fonts (CJK and Color Emoji), or run `{own}`."


def sandbox_message(*, root: bool) -> str:
    """Return why Chromium's sandbox does not work here, and the remedies.

    Args:
        root: Whether this process runs as root.
    """
    if root:
        return (
            "Chromium's sandbox does not work as root: run the worker as another user, "
            "or set NO_SANDBOX=true if you trust the pages it opens."
        )
    return (
        "Chromium's sandbox does not work here: this system does not let unprivileged users create user namespaces "
        "(Ubuntu's AppArmor since 23.10, Docker's default seccomp profile): install the package of Google Chrome, "
        "which includes an AppArmor profile, or write such a profile for this browser; or allow them for all programs "
        "(Ubuntu: `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`; Docker: a seccomp profile with "
        "clone and unshare); or set NO_SANDBOX=true if you trust the pages it opens."
    )


def _distribution() -> str:
    """Return the distribution's ID. Only Debian's package chromium is a browser; Ubuntu's installs a snap."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r'^ID="?([\w.-]+)', text, re.MULTILINE)
    return found[1] if found else ""
