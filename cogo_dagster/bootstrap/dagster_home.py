"""The folder that DAGSTER_HOME names: the checkout, or for an installed wheel one that can be written."""

from pathlib import Path
from typing import Final

from cogo_dagster.settings import PROJECT_ROOT, Settings, is_checkout

INSTALLED: Final = Path(__file__).resolve().parent.parent / "_project"
"""Where the wheel carries dagster.yaml and workspace.yaml."""


def dagster_home(settings: Settings) -> Path:
    """Return the folder with dagster.yaml and workspace.yaml; made below COGO_HOME where there is no checkout.

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
