"""Jobs that export from Figma: `figma` (a file), `figma.nodes` (parts of it), `figma.images` (renderings of them)."""

from typing import TYPE_CHECKING

from cogo_dagster.executors.figma.options import FigmaOptions
from cogo_dagster.settings import Settings

if TYPE_CHECKING:
    from cogo_dagster.executors.figma.executor import FigmaExecutor

__all__ = ["FigmaOptions", "build"]


def build(settings: Settings) -> "FigmaExecutor":
    """Make the executor; nothing starts until `start`."""
    from cogo_dagster.executors.figma.executor import FigmaExecutor  # noqa: PLC0415 - importing this costs nothing

    return FigmaExecutor(FigmaOptions.from_settings(settings))
