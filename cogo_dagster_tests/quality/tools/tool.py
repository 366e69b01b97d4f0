"""One run of one tool: input files, the documented command, and the expected numbers."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Facts = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and one of its report formats.

    Attributes:
        name: As in the table in docs/operations.md.
        kind: `eslint`, `junit` or `coverage`.
        files: Input files by path.
        command: The documented shell command; run in a folder with the files.
        report: The report's path, or a folder.
        expected: Returns the expected numbers, from the tool's output or from the input.
        packages: npm packages that the command needs.
        programs: Programs that the command needs, with their Debian packages.
        variant: Distinguishes it from other runs of the tool.
    """

    name: str
    kind: str
    files: Mapping[str, str]
    command: str
    report: str
    expected: Callable[[str], Facts]
    packages: Sequence[str] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""

    @property
    def id(self) -> str:
        """The name of the test."""
        return " ".join(part for part in (self.name, self.kind, self.variant) if part)

    def run(self, folder: Path, path: str) -> str:
        """Write the files, run the command, and return its output. The exit status is ignored."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        environment = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        done = subprocess.run(
            ["/bin/bash", "-c", self.command],
            cwd=folder,
            env={**environment, "PATH": path, "CI": "1", "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=170,
            check=False,
        )
        return done.stdout.decode("utf-8", "replace")


def tests(total: int, failed: int) -> Callable[[str], Facts]:
    """Return the expectation of a known number of tests."""
    return lambda _: {"tests_total": total, "tests_failed": failed}


def printed_tests(failed: str, *others: str) -> Callable[[str], Facts]:
    """Return an expectation read from the output, by patterns for failed and for other tests."""

    def count(output: str) -> Facts:
        [failures, *passed] = [number(pattern, output) for pattern in (failed, *others)]
        assert failures > 0
        return {"tests_total": failures + sum(passed), "tests_failed": failures}

    return count


def lint(errors: int, warnings: int = 0) -> Callable[[str], Facts]:
    """Return the expectation of a known number of findings."""
    return lambda _: {"lint_errors": errors, "lint_warnings": warnings}


def coverage(lines: tuple[int, int], branches: tuple[int, int] | None = None) -> Callable[[str], Facts]:
    """Return the expectation of covered and total lines, and of branches if the format has them."""

    def percent(pair: tuple[int, int] | None) -> float | None:
        return None if pair is None else round(100 * pair[0] / pair[1], 2)

    return lambda _: {"coverage_percent": percent(lines), "branch_coverage_percent": percent(branches)}


def number(pattern: str, output: str) -> int:
    """Return the number in the pattern's group.

    Raises:
        AssertionError: The pattern is not found.
    """
    found = re.search(pattern, output)
    assert found, output[-3000:]
    return int(found.group(1))
