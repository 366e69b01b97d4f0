"""Check a commit's title: `python -m cogo_dagster_tests.commit_title FILE`, as the commit-msg hook does."""

import re
import sys
from pathlib import Path

MAX_LENGTH = 72
WRITTEN_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")
IMPERATIVES = {
    *("Bring", "Embed", "Exceed", "Feed", "Heed", "Need", "Ping", "Proceed", "Seed", "Shed", "Speed", "String"),
    *("Alias", "Bias", "Canvas", "Succeed", "Weed"),
}
"""Verbs whose base form ends in -ed, -ing or -s."""


def problems_of(title: str) -> list[str]:
    """Return what is wrong with a title; nothing for titles that git writes."""
    if title.startswith(WRITTEN_BY_GIT):
        return []
    first = re.match(r"[\w-]*", title)[0]  # type: ignore[index]  # matches the empty string too
    rules = {
        f"It has {len(title)} characters; at most {MAX_LENGTH} are allowed.": len(title) > MAX_LENGTH,
        "It does not begin with a capitalised verb.": not re.fullmatch(r"[A-Z][a-z-]+", first),
        f"`{first}` is not imperative: write `Add`, not `Added`, `Adds` or `Adding`.": not _is_imperative(first),
        "It ends with a period.": title.endswith("."),
        "It joins two changes with a semicolon or `, and`: make two commits.": ";" in title or ", and " in title,
    }
    return [problem for problem, found in rules.items() if found]


def title_of(message: str) -> str:
    """Return the first line of a commit message that is not empty and not a comment."""
    return next((line for line in message.splitlines() if line.strip() and not line.startswith("#")), "")


def main(path: str) -> int:
    """Print what is wrong with the title of the message in a file; return 1 if something is."""
    title = title_of(Path(path).read_text(encoding="utf-8"))
    problems = problems_of(title)
    for problem in problems:
        sys.stderr.write(f"Commit title: {problem}\n")
    return int(bool(problems))


def _is_imperative(word: str) -> bool:
    participle = word.endswith(("ed", "ing"))
    third_person = word.endswith("s") and not word.endswith(("ss", "us"))
    return word in IMPERATIVES or not (participle or third_person)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
