"""What to type on this machine to get what a browser needs."""

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
"""Debian's packages of the libraries that Node.js needs."""

_OWN_FONTS: Final = (
    "pip install --no-deps --target ~/.local/share/fonts manimgx-fonts-cjk==2026.9.26.post1 "
    "manimgx-fonts==2026.9.26.post1"
)
"""Packages that hold Noto fonts and nothing else, under the SIL Open Font License."""

FONT_PACKAGES: Final = ("fonts-noto-cjk", "fonts-noto-color-emoji")


def as_root(command: str) -> str:
    """Return the command as the account of this process types it: `su` asks for root's password."""
    if is_root():
        return command
    return f"sudo {command}" if shutil.which("sudo") else f"su -c {shlex.quote(command)}"


def playwright_command(*words: str) -> str:
    """Return a command of this installation's own Playwright, wherever it is typed."""
    program = Path(sys.executable).with_name("playwright")
    return shlex.join([str(program), *words] if program.is_file() else [sys.executable, "-m", "playwright", *words])


def browser_commands() -> str:
    """Return commands of which any gets a browser here."""
    whole = playwright_command("install", "--with-deps", "chromium-headless-shell")
    if _distribution() == "debian":
        return f"`{as_root('apt-get install chromium')}`, or `{whole}`"
    if platform.system() == "Darwin":
        return f"`brew install --cask google-chrome`, or `{whole}`"
    return f"`{whole}`, or the package of Google Chrome"


def missing_library(said: str) -> str | None:
    """Return the shared library that a program's loader did not find, if that is what it said."""
    found = _LOADER.search(said)
    return found[1] if found else None


def library_command(library: str) -> str:
    """Return the command that installs a library which Node.js needs."""
    return as_root(f"apt-get install {_PACKAGES[library]}") if library in _PACKAGES else f"install {library}"


def browser_libraries_command(wanted: str = "chromium-headless-shell") -> str:
    """Return the command that installs the libraries a downloaded browser needs; Playwright knows them."""
    return as_root(playwright_command("install-deps", wanted))


def fonts_advice() -> str:
    """Say how fonts for every script get onto this machine, also without root."""
    own = f"uv {_OWN_FONTS}" if shutil.which("uv") else f"{shlex.quote(sys.executable)} -m {_OWN_FONTS}"
    if shutil.which("apt-get"):
        return f"Run `{as_root('apt-get install ' + ' '.join(FONT_PACKAGES))}`, or without root `{own}`."
    return f"Install the Noto fonts (CJK and Color Emoji), or run `{own}`."


def sandbox_sentence(*, root: bool) -> str:
    """Say why Chromium has no sandbox here, and every way out.

    Args:
        root: Whether this process runs as root.
    """
    if root:
        return (
            "Chromium's sandbox does not work as root: run the worker as another user, "
            "or set NO_SANDBOX=true if you trust the pages it opens."
        )
    return (
        "Chromium's sandbox does not work here, since this system does not let ordinary users make user namespaces "
        "(Ubuntu's AppArmor since 23.10, Docker's default seccomp profile): install the package of Google Chrome, "
        "which brings an AppArmor profile, or write such a profile for this browser; or allow them to all programs "
        "(Ubuntu: `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`; Docker: a seccomp profile with "
        "clone and unshare); or set NO_SANDBOX=true if you trust the pages it opens."
    )


def _distribution() -> str:
    """Return `debian` where the package chromium is a browser; Ubuntu's only installs a snap."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r'^ID="?([\w.-]+)', text, re.MULTILINE)
    return found[1] if found else ""
