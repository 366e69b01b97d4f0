"""The folders in which executions write, and the removal of those that dead workers left."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cogo_dagster.queue.folders import LockedFolder, remove_tree, sweep_folders

PREFIX: Final = "cogo-job-"


class Workspace:
    """A private folder of one execution, created on first access.

    Args:
        folder: An existing folder to use; None creates one in the system's temporary folder.
        on_ending: Called by `ends_soon`.
    """

    __slots__ = ("_folder", "_made", "_on_ending")

    def __init__(self, folder: Path | None = None, on_ending: Callable[[], None] | None = None) -> None:
        self._folder = folder
        self._on_ending = on_ending
        self._made: LockedFolder | None = None

    @property
    def folder(self) -> Path:
        """The folder, initially empty.

        Raises:
            OSError: It cannot be created, for example on a full disk.
        """
        if self._folder is None:
            self._made = LockedFolder.make(PREFIX, Path(tempfile.gettempdir()))
            self._folder = self._made.path
        return self._folder

    @property
    def used(self) -> bool:
        """Whether the folder was created."""
        return self._folder is not None

    def ends_soon(self) -> None:
        """Tell the worker that the execution ends within about a second, so that it claims the next job.

        To be called in the event loop. The slot stays occupied until the execution has ended.
        """
        if self._on_ending is not None:
            self._on_ending()

    def remove(self) -> None:
        """Delete the folder and its content, as far as possible. Blocks."""
        made, folder = self._made, self._folder
        self._made = self._folder = None
        if made is not None:
            made.remove()
        elif folder is not None:
            remove_tree(folder)


def sweep_workspaces(budget_seconds: float = 10.0) -> int:
    """Delete the workspaces that dead workers of this account left on this machine; return how many. Blocks.

    Args:
        budget_seconds: Time limit; the rest is left to the next sweep.
    """
    return sweep_folders(PREFIX, Path(tempfile.gettempdir()), budget_seconds)
