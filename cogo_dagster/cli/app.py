"""The command `cogo`: finds the command that is meant, runs it, turns what goes wrong into a sentence and a code."""

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import typer
from dotenv import load_dotenv

from cogo_dagster.cli.exit_codes import SUMMARY
from cogo_dagster.cli.groups import group
from cogo_dagster.text import is_storable, printable, storable

GROUPS: Final = (
    "enqueue",
    "list",
    "job",
    "retry",
    "replay",
    "recover",
    "cleanup",
    "purge",
    "pause",
    "resume",
    "vault",
    "tokens",
    "router",
    "alerts",
    "notify",
    "db",
    "gate",
    "metrics",
    "weekly",
    "ci",
)
"""Nouns with several commands: the module of that name has a Typer named `app`."""

COMMANDS: Final = (
    "demo",
    "dev",
    "doctor",
    "drill",
    "stats",
    "web",
    "worker",
    "version",
)
"""Commands of one word: the module of that name has a function of that name."""

_PROJECT: Final = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The words after `cogo`; by default the process's.
    """
    words = spelled_out(sys.argv[1:] if arguments is None else arguments)
    _load_env_file()
    try:
        _check_text(words)
        code = _cogo(words)(args=words, prog_name="cogo", standalone_mode=False)
    except Exception as error:
        # Only a failure pays for importing what can fail.
        from cogo_dagster.cli.failures import report  # noqa: PLC0415

        code = report(error, as_json="--json" in words)
        if code is None:
            raise
    return int(code or 0)


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Write the colon spelling with spaces: `list:jobs` is `list jobs`, and a last `:sb` is `--source db`."""
    words = list(arguments)
    first = next((at for at, word in enumerate(words) if not word.startswith("-")), None)
    if first is None:
        return words
    parts = words[first].split(":")
    source = ["--source", "db"] if len(parts) > 1 and parts[-1] == "sb" else []
    return [*words[:first], *(parts[:-1] if source else parts), *source, *words[first + 1 :]]


def _check_text(words: Sequence[str]) -> None:
    """Reject what no database takes, before anything is made of it.

    Raises:
        BadParameter: A word is not UTF-8, or has U+0000 in it.
    """
    for word in words:
        if not is_storable(word):
            raise typer.BadParameter(
                f"{printable(storable(word))[:80]!r} is not text in UTF-8 without U+0000: write it in UTF-8"
            )


def _cogo(words: Sequence[str]) -> typer.Typer:
    """Build the command with the noun that is called; with all of them for help, completion and misspellings."""
    called = [word for word in words[:1] if word in (*GROUPS, *COMMANDS)]
    return _with_nouns(called or (*GROUPS, *COMMANDS))


def _with_nouns(names: Iterable[str]) -> typer.Typer:
    app = group("COGO Agent Core's operations: the job queue, its workers and what watches over them.", epilog=SUMMARY)
    for name in names:
        module = import_module(f"cogo_dagster.cli.{name}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def _load_env_file() -> None:
    """Read `.env` here, else in the project; what the environment says already stands."""
    for file in (Path(".env"), _PROJECT / ".env"):
        if file.is_file():
            load_dotenv(file, override=False)
            return
