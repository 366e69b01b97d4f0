"""Resolve the project's dependencies anew: write the locks, and the pins of requirements.lock into pyproject.toml.

requirements.lock: what the package needs. .ci/dev.lock: that, the group `dev` and what builds the project.
.ci/build.lock: the last alone. .ci/uv.lock.txt: uv itself, for pip. Each names the hashes of all its files.

    uv run --no-project python .ci/lock.py

Move `exclude-newer` in pyproject.toml first, to a day at least ten days back.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT, LOCK = ROOT / "pyproject.toml", ROOT / "requirements.lock"
PINS = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)
COMPILE = "uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header"
LOCKS = {
    "requirements.lock": "pyproject.toml",
    ".ci/dev.lock": "pyproject.toml --group dev .ci/build.in",
    ".ci/build.lock": ".ci/build.in -c requirements.lock",
    ".ci/uv.lock.txt": ".ci/uv.in",
}


def main() -> None:
    """Free the pins, resolve, pin again."""
    PROJECT.write_text(
        PINS.sub("constraint-dependencies = [\n]\n", PROJECT.read_text(encoding="utf-8")), encoding="utf-8"
    )
    compile_lock("requirements.lock")
    pins = re.findall(r"^[^\s#-][^\\\n]*", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = "".join(f'    "{pin.strip()}",\n' for pin in pins)
    block = f"constraint-dependencies = [\n{lines}]\n"
    PROJECT.write_text(PINS.sub(lambda _: block, PROJECT.read_text(encoding="utf-8")), encoding="utf-8")
    for name in list(LOCKS)[1:]:
        compile_lock(name)


def compile_lock(name: str) -> None:
    """Resolve one lock from nothing."""
    (ROOT / name).unlink(missing_ok=True)
    subprocess.run([*COMPILE.split(), *LOCKS[name].split(), "-o", name], cwd=ROOT, check=True)  # noqa: S603 - our own


if __name__ == "__main__":
    main()
