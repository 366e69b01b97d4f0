"""The wheel: built, and installed without the checkout."""

import site
import subprocess
import sys
from pathlib import Path

from cogo_dagster.settings import PROJECT_ROOT


def built(folder: Path) -> Path:
    """Build the wheel in a folder."""
    command = ["uv", "build", "-q", "--wheel", "--no-config", "--out-dir", str(folder), str(PROJECT_ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """Install the wheel with access to its dependencies, but not to the checkout; return the folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    options = ["-q", "--no-config", "--no-index", "--no-deps", "--python", str(folder)]
    subprocess.run(["uv", "pip", "install", *options, str(wheel)], check=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin"
