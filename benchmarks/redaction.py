"""The scaling of redaction on worst-case texts: `uv run python -m benchmarks.redaction`.

Each text is measured with 1.25, 2.5, 5 and 10 million characters. The benchmark fails if twice the text takes more than
2.2 times as long, or a slice takes more than 200 ms.
"""

import argparse
import base64
import sys
import time
import uuid
from itertools import pairwise
from typing import Final

from cogo_dagster.redaction import Redactor

MAX_RATIO: Final = 2.2
MAX_SLICE_SECONDS: Final = 0.2
SIZES: Final = (1_250_000, 2_500_000, 5_000_000, 10_000_000)
SECRETS: Final = tuple(f"{number:04d}-secret-value-{number:04d}" for number in range(20))
UNITS: Final = {
    "a-": "a-",
    "one character": "a",
    "uuids": "".join(f"{uuid.UUID(int=number * 0x1234567890ABCDEF1234567)}-" for number in range(200)),
    "base64url": base64.urlsafe_b64encode(bytes(range(256)) * 12).decode(),
    "base64 lines": base64.encodebytes(bytes(range(256)) * 12).decode(),
    "://": "://",
    "a://": "a://",
    "user names": "://a@",
    "queries": "x?://",
    "quotes": "\"'",
    "backslashes": "\\",
    "names": "token",
    "names with values": "token: abcdef ",
    "web tokens": "-eyJ",
    "headers": "Authorization: ",
    "cookies": "cookie=a;",
    "percent": "%41",
    "percent twice": "%2541",
    "JSON escapes": "\\u0041",
    "HTML": "&amp;",
    "line feeds": "\n",
    "secrets": "0007-secret-value-0007 ",
    "prose": "The page did not load within 30 s: https://shop.example.com/cart?id=5 (attempt 3/5). ",
}


def measured(redactor: Redactor, text: str) -> tuple[float, float]:
    """Return the CPU time of the whole text and of its slowest slice, in seconds."""
    slowest = 0.0
    began = last = time.thread_time()
    for _ in redactor.slices(text):
        now = time.thread_time()
        slowest, last = max(slowest, now - last), now
    return last - began, slowest


def main() -> int:
    """Measure, print a table, and return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=UNITS, help="measure only this text")
    only = parser.parse_args().only
    redactor = Redactor(SECRETS)
    failed = 0
    print(f"{'text':<18}{'10 MB':>9}{'per MB':>10}{'ratios':>20}{'slowest slice':>16}")
    for name, unit in UNITS.items():
        if only not in (None, name):
            continue
        # The minimum of two: other load makes a run slower, never faster.
        runs = [min(measured(redactor, unit * (size // len(unit))) for _ in range(2)) for size in SIZES]
        ratios = [later[0] / earlier[0] for earlier, later in pairwise(runs)]
        slowest = max(slice_seconds for _, slice_seconds in runs)
        bad = max(ratios) > MAX_RATIO or slowest > MAX_SLICE_SECONDS
        failed += bad
        shown = " ".join(f"{ratio:.2f}" for ratio in ratios)
        total, mark = runs[-1][0], "  <--" if bad else ""
        times = f"{total:>7.2f} s{total * 100:>7.0f} ms{shown:>20}{slowest * 1000:>13.0f} ms"
        print(f"{name:<18}{times}{mark}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
