"""Resolve the project's dependencies anew: write requirements.lock, and its pins into pyproject.toml for uv.

    uv run --no-project python .ci/lock.py

Move `exclude-newer` in pyproject.toml first, to a day at least ten days back.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT, LOCK = ROOT / "pyproject.toml", ROOT / "requirements.lock"
PINS = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)
COMPILE = (
    "uv pip compile -q pyproject.toml --universal --generate-hashes --no-annotate --no-header -o requirements.lock"
)


def main() -> None:
    """Free the pins, resolve, pin again."""
    PROJECT.write_text(
        PINS.sub("constraint-dependencies = [\n]\n", PROJECT.read_text(encoding="utf-8")), encoding="utf-8"
    )
    LOCK.unlink(missing_ok=True)
    subprocess.run(COMPILE.split(), cwd=ROOT, check=True)  # noqa: S603 - our own command
    pins = re.findall(r"^[^\s#-][^\\\n]*", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = "".join(f'    "{pin.strip()}",\n' for pin in pins)
    block = f"constraint-dependencies = [\n{lines}]\n"
    PROJECT.write_text(PINS.sub(lambda _: block, PROJECT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
