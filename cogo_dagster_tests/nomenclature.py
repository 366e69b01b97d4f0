"""Find words that `docs/nomenclature.md` rejects: `python -m cogo_dagster_tests.nomenclature [path …]`.

`_` and digits end a word, so that names in code are searched too. A word alone between quotes or backticks is a value,
such as the account `nobody`, and is accepted.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/nomenclature.md"
SUFFIXES = {".css", ".html", ".js", ".md", ".py", ".sh", ".sql", ".toml", ".yaml", ".yml", ""}
EXEMPT = (
    PAGE,
    "sql/migrations/",
    "docs/nomenclature",
    "cogo_dagster_tests/nomenclature.py",
    "cogo_dagster_tests/test_nomenclature.py",
)
"""The page itself, and files that are never edited once they are released."""
KEPT_NAMES = re.compile(
    r"\b(?:alert_promotions|promote_alerts|promoted_at|promoted_seconds_ago|run_failures_unpromoted)\b"
    r"|\brecord_outage\.told\b|\btold(?= jsonb| +\[\")|(?<=alias=\")promoted\b"
    r"|lock the table against everybody"
)
"""Tables, columns, keys, arguments and deprecated functions of the database whose names cannot change.

The last is a comment that released migrations contain; it is generated again with them.
"""
QUOTES = [('"', '"'), ("'", "'"), ("`", "`")]


class Finding(NamedTuple):
    """A rejected word in a line of a file."""

    path: str
    line: int
    word: str
    text: str


def rejected_words(page: str) -> list[str]:
    """Return the words in code type in the last column of the page's tables."""
    rows = [line for line in page.splitlines() if line.startswith("|") and not line.startswith("|--")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[-2])]


def pattern_of(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds any of the words, with no letter before or after it."""
    by_length = sorted(words, key=len, reverse=True)
    alternatives = "|".join(re.escape(word).replace(r"\ ", r"[\s_]+") for word in by_length)
    return re.compile(rf"(?<![A-Za-z])(?:{alternatives})(?![A-Za-z])", re.IGNORECASE)


def findings_in(path: str, text: str, pattern: re.Pattern[str]) -> Iterator[Finding]:
    """Yield each rejected word of a text, with its line."""
    for number, line in enumerate(text.splitlines(), start=1):
        for match in pattern.finditer(KEPT_NAMES.sub(lambda kept: "x" * len(kept[0]), line)):
            around = line[max(match.start() - 1, 0) : match.start()], line[match.end() : match.end() + 1]
            if around not in QUOTES:
                yield Finding(path, number, match[0], line.strip())


def files_to_read(paths: list[str]) -> list[str]:
    """Return the tracked text files below the paths, relative to the project's folder."""
    command = ["git", "ls-files", "--", *(paths or ["."])]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if Path(path).suffix in SUFFIXES and not path.startswith(EXEMPT)]


def find(paths: list[str]) -> list[Finding]:
    """Return the rejected words in files of the project."""
    pattern = pattern_of(rejected_words((ROOT / PAGE).read_text()))
    read = ((path, (ROOT / path).read_text(errors="replace")) for path in files_to_read(paths))
    return [finding for path, text in read for finding in findings_in(path, text, pattern)]


def main(paths: list[str]) -> int:
    """Print each finding as `path:line: word: text`; return 1 if there are any."""
    findings = find(paths)
    for path, line, word, text in findings:
        sys.stdout.write(f"{path}:{line}: {word}: {text[:160]}\n")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
