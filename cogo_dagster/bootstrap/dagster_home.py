"""The folder DAGSTER_HOME, by default the one with the dagster.yaml of the project."""

from pathlib import Path
from typing import Final

from cogo_dagster.settings import PROJECT_ROOT, Settings, is_checkout

INSTALLED: Final = Path(__file__).resolve().parent.parent / "_project"
"""Folder of dagster.yaml and workspace.yaml in the wheel."""


def dagster_home(settings: Settings) -> Path:
    """Return DAGSTER_HOME, or `dagster_files` if it is not set.

    Raises:
        OSError: The folder cannot be created.
    """
    return settings.dagster_home or dagster_files(settings)


def dagster_files(settings: Settings) -> Path:
    """Return the folder of dagster.yaml and workspace.yaml: the checkout, or else one created in COGO_HOME.

    Raises:
        OSError: The folder cannot be created.
    """
    if is_checkout():
        return PROJECT_ROOT
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    for source in INSTALLED.glob("*.yaml"):
        target, content = folder / source.name, source.read_bytes()
        if not target.exists() or target.read_bytes() != content:
            fresh = target.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.replace(target)
    return folder
