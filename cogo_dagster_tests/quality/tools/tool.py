"""One run of one tool: its input files, the command of the documentation, and the numbers to expect."""

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
        name: As the table in docs/operations.md spells it.
        kind: `eslint`, `junit` or `coverage`.
        files: Input files by path.
        command: A shell command, as the table has it; run in a folder with the files.
        report: The report's path, or a folder.
        expected: The numbers, counted without the report: from what the tool prints, or from the input.
        packages: Packages of npm that the command needs.
        programs: Programs that the command needs, with Debian's packages.
        variant: What distinguishes it from other runs of the tool.
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
        """Name of the test."""
        return " ".join(part for part in (self.name, self.kind, self.variant) if part)

    def run(self, folder: Path, path: str) -> str:
        """Write the files, run the command, and return what it prints. Its exit status is the tool's verdict."""
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
    """Return the expectation of a known number of tests that ran."""
    return lambda _: {"tests_total": total, "tests_failed": failed}


def printed_tests(failed: str, *others: str) -> Callable[[str], Facts]:
    """Return an expectation read from the output: patterns of the failed and of the other tests that ran."""

    def count(output: str) -> Facts:
        [failures, *passed] = [number(pattern, output) for pattern in (failed, *others)]
        assert failures > 0
        return {"tests_total": failures + sum(passed), "tests_failed": failures}

    return count


def lint(errors: int, warnings: int = 0) -> Callable[[str], Facts]:
    """Return the expectation of a known number of findings."""
    return lambda _: {"lint_errors": errors, "lint_warnings": warnings}


def coverage(lines: tuple[int, int], branches: tuple[int, int] | None = None) -> Callable[[str], Facts]:
    """Return the expectation of covered and valid lines, and of branches where the format has them, to two decimals."""

    def percent(pair: tuple[int, int] | None) -> float | None:
        return None if pair is None else round(100 * pair[0] / pair[1], 2)

    return lambda _: {"coverage_percent": percent(lines), "branch_coverage_percent": percent(branches)}


def number(pattern: str, output: str) -> int:
    """Return the number that the pattern's group finds in the output.

    Raises:
        AssertionError: The output does not have it.
    """
    found = re.search(pattern, output)
    assert found, output[-3000:]
    return int(found.group(1))
