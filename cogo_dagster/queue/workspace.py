"""Where executions write, and what dead workers leave of it."""

import tempfile
from pathlib import Path
from typing import Final

from cogo_dagster.queue.folders import LockedFolder, remove_tree, sweep_folders

PREFIX: Final = "cogo-job-"


class Workspace:
    """Where one execution may write: a private folder, made when it is first asked for.

    Args:
        folder: An existing folder to use; None makes one in the system's folder for temporary files.
    """

    __slots__ = ("_folder", "_made")

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._made: LockedFolder | None = None

    @property
    def folder(self) -> Path:
        """The folder, empty at first.

        Raises:
            OSError: It cannot be made, as on a full disk.
        """
        if self._folder is None:
            self._made = LockedFolder.make(PREFIX, Path(tempfile.gettempdir()))
            self._folder = self._made.path
        return self._folder

    @property
    def used(self) -> bool:
        """Whether there is a folder to remove."""
        return self._folder is not None

    def remove(self) -> None:
        """Delete the folder and what is in it, as far as that is possible. Blocks while it does."""
        made, folder = self._made, self._folder
        self._made = self._folder = None
        if made is not None:
            made.remove()
        elif folder is not None:
            remove_tree(folder)


def sweep_workspaces(budget_seconds: float = 10.0) -> int:
    """Delete the workspaces that dead workers of this account left on this machine; return how many. Blocks.

    Args:
        budget_seconds: After so long the rest is left to the next sweep.
    """
    return sweep_folders(PREFIX, Path(tempfile.gettempdir()), budget_seconds)
