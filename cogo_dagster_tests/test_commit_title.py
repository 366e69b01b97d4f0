"""The check of commit titles, and the hook that calls it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.commit_title import problems_of, title_of


@pytest.mark.parametrize(
    "title",
    [
        "Lock artifacts by id when they are announced again",
        "Read Content-Length in one place",
        "Process events in order",
        "Pass the lease token and the claim id",
        "Bring the embedded server up before the first query",
        "Embed PostgreSQL 18",
        "Seed the database of the demo",
        "Focus the search box on `/`",
        "Re-read the settings after a fork",
        "x".join(["Add", "y" * 68]),
        "Merge branch 'main' of ssh://git.example.com/a/very/long/path/that/goes/on/and/on/for/a/while",
        'Revert "Added a thing."',
        "fixup! Lock artifacts",
    ],
)
def test_an_imperative_title_of_one_change_is_accepted(title: str) -> None:
    """So are titles that git itself writes."""
    assert problems_of(title) == []


@pytest.mark.parametrize(
    ("title", "problem"),
    [
        ("", "capitalised verb"),
        ("lock artifacts by id", "capitalised verb"),
        ("2 commands renamed", "capitalised verb"),
        ("SQL is faster", "capitalised verb"),
        ("Formatted", "not imperative"),
        ("Adds a test", "not imperative"),
        ("Adding a test", "not imperative"),
        ("Lock artifacts by id.", "period"),
        ("Lock artifacts; rename jobs", "two changes"),
        ("Lock artifacts, and rename jobs", "two changes"),
        ("Lock " + "a" * 68, "73 characters"),
    ],
)
def test_other_titles_are_rejected_with_a_reason(title: str, problem: str) -> None:
    """One reason for each rule that a title breaks."""
    [found] = problems_of(title)
    assert problem in found


def test_the_title_is_the_first_line_that_git_keeps() -> None:
    """Empty lines and comments before it do not count."""
    assert title_of("\n# Please enter the commit message\nAdd a test\n\nBody.\n") == "Add a test"


def test_the_hook_runs_the_check_on_the_message(tmp_path: Path) -> None:
    """`pre-commit install` installs it, and its command rejects a message with exit code 1."""
    configuration = yaml.safe_load((PROJECT_ROOT / ".pre-commit-config.yaml").read_text())
    assert "commit-msg" in configuration["default_install_hook_types"]
    [hook] = [hook for hook in configuration["repos"][0]["hooks"] if hook.get("stages") == ["commit-msg"]]
    command = [sys.executable, *hook["entry"].split()[3:]]
    message = tmp_path / "COMMIT_EDITMSG"
    for text, code in (("Add a test\n", 0), ("Added a test\n", 1)):
        message.write_text(text)
        done = subprocess.run([*command, str(message)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, "Commit title" in done.stderr) == (code, bool(code))
