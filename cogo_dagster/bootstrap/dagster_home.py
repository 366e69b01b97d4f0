"""The folder that DAGSTER_HOME names, by default the one with the project's own dagster.yaml."""

from pathlib import Path
from typing import Final

from cogo_dagster.settings import PROJECT_ROOT, Settings, is_checkout

INSTALLED: Final = Path(__file__).resolve().parent.parent / "_project"
"""Where the wheel carries dagster.yaml and workspace.yaml."""


def dagster_home(settings: Settings) -> Path:
    """Return DAGSTER_HOME; `dagster_files` if it is not set.

    Raises:
        OSError: It cannot be made.
    """
    return settings.dagster_home or dagster_files(settings)


def dagster_files(settings: Settings) -> Path:
    """Return the folder with our dagster.yaml and workspace.yaml: the checkout, else one made below COGO_HOME.

    Raises:
        OSError: It cannot be made.
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
