"""CPU time of `cogo --help` compared with `cogo version`: `uv run python -m benchmarks.help`.

The two alternate, so that both run under the same load. The benchmark fails if `--help` takes more than twice the time
of `version`.
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


def processor_seconds(*arguments: str) -> float:
    """Run `cogo` once; return its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([PROGRAM, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure, print the medians and their ratio, and return 1 if it is too high."""
    rounds = [(processor_seconds("version"), processor_seconds("--help")) for _ in range(ROUNDS)]
    of_version, of_help = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"version {of_version:.3f} s, help {of_help:.3f} s, ratio {of_help / of_version:.2f}")
    return int(of_help > MAX_RATIO * of_version)


if __name__ == "__main__":
    sys.exit(main())
