"""A progress bar on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Takes the number of rows so far."""


@contextmanager
def progress_bar(what: str, total: Callable[[], int | None], *, quiet: bool = False) -> Iterator[Advance]:
    """Show a progress bar on standard error if it is a terminal.

    Args:
        what: What is counted, such as `jobs`.
        total: Returns the number of rows, or None if it is unknown; called only if the bar is shown.
        quiet: Show nothing.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    # rich takes 0.1 s to import.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total())
        yield lambda done: bar.update(task, completed=done)
