"""Resolve the dependencies of the project: write the pins of all groups to pyproject.toml, then the locks.

requirements.lock: the dependencies of the package. .ci/dev.lock: also the group `dev` and the build requirements.
.ci/build.lock: the build requirements. .ci/uv.lock.txt: uv itself, for pip. Each lists the hashes of all files.

    uv run --no-project python .ci/lock.py

Change `DAY` first, to a date at least ten days in the past.
"""

import re
import subprocess
from pathlib import Path

DAY = "2026-11-14T00:00:00Z"
"""Files uploaded later are ignored."""

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
PINS = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)
COMPILE = f"uv pip compile -q --universal --python-version 3.11 --no-annotate --no-header --exclude-newer {DAY}"
EVERYTHING = "pyproject.toml --all-extras --group dev --group bench .ci/build.in"
LOCKS = {
    "requirements.lock": "pyproject.toml",
    ".ci/dev.lock": "pyproject.toml --group dev .ci/build.in",
    ".ci/build.lock": ".ci/build.in",
    ".ci/uv.lock.txt": ".ci/uv.in",
}


def main() -> None:
    """Remove the pins, resolve all groups together, write the pins, and write the locks with them."""
    pin([])
    pin(re.findall(r"^[^\s#-].*", resolve(EVERYTHING), flags=re.MULTILINE))
    for name, sources in LOCKS.items():
        (ROOT / name).unlink(missing_ok=True)
        resolve(f"--generate-hashes {sources} -o {name}")


def resolve(arguments: str) -> str:
    """Run `uv pip compile`; return its output."""
    command = [*COMPILE.split(), *arguments.split()]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603 - constant


def pin(requirements: list[str]) -> None:
    """Write the constraints into pyproject.toml."""
    lines = "".join(f'    "{requirement.strip()}",\n' for requirement in requirements)
    block = f"constraint-dependencies = [\n{lines}]\n"
    PROJECT.write_text(PINS.sub(lambda _: block, PROJECT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
