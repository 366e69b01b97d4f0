"""What a command tells GitHub Actions: annotations, and a page of the job's summary."""

import os
from pathlib import Path
from typing import Final, Literal

import typer

_MOST_BYTES: Final = 900_000


def annotate(level: Literal["error", "warning", "notice"], title: str, message: str) -> None:
    """Annotate the job; on standard error, which the runner reads as well. Nothing outside GitHub Actions."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        typer.echo(f"::{level} title={_property(title)}::{_data(message)}", err=True)


def add_to_summary(markdown: str) -> None:
    """Add a page to the job's summary, where there is one. One that cannot be written fails nothing."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(markdown.encode()[:_MOST_BYTES].decode(errors="ignore") + "\n")
    except OSError as error:
        typer.echo(f"The job summary could not be written ({error.strerror}).", err=True)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
