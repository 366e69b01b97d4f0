"""Jobs that evaluate a commit with the commands of the settings: the families `gate` and `gate_fix`."""

from pathlib import Path
from typing import TYPE_CHECKING

from cogo_dagster.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from cogo_dagster.executors.gate.executor import GateExecutor

__all__ = ["build", "build_fix"]


def build(settings: Settings) -> "GateExecutor":
    """Make the executor of `gate`."""
    return _build("gate", settings)


def build_fix(settings: Settings) -> "GateExecutor":
    """Make the executor of `gate_fix`, which runs the repository's fix first."""
    return _build("gate_fix", settings)


def _build(family: str, settings: Settings) -> "GateExecutor":
    from cogo_dagster.executors.gate.executor import GateExecutor  # noqa: PLC0415 - importing this costs nothing

    return GateExecutor(
        family,
        settings.gate_commands,
        settings.secret_values(),
        unisolated=settings.gate_unisolated,
        hidden=(settings.home, PROJECT_ROOT / ".env", PROJECT_ROOT / ".cogo", Path(".env").absolute()),
    )
