"""What `cogo --help` costs beside `cogo version`, in processor time: `uv run python -m benchmarks.help`.

The two are run in turns, so that both see the same machine. The run fails where the help costs more than twice the
version.
"""

import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

MAX_RATIO: Final = 2.0
ROUNDS: Final = 15
PROGRAM: Final = Path(sys.executable).with_name("cogo")


def processor_seconds(*words: str) -> float:
    """Run `cogo` once; return the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([PROGRAM, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure, print the medians and their ratio, and return 1 where it is too high."""
    rounds = [(processor_seconds("version"), processor_seconds("--help")) for _ in range(ROUNDS)]
    of_version, of_help = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"version {of_version:.3f} s, help {of_help:.3f} s, ratio {of_help / of_version:.2f}")
    return int(of_help > MAX_RATIO * of_version)


if __name__ == "__main__":
    sys.exit(main())
