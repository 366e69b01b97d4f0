"""Jobs that evaluate a commit with the commands of the settings: the families `gate` and `gate_fix`."""

from typing import TYPE_CHECKING

from cogo_dagster.settings import Settings

if TYPE_CHECKING:
    from cogo_dagster.executors.gate.executor import GateExecutor

__all__ = ["build", "build_fix"]


def build(settings: Settings) -> "GateExecutor":
    """Make the executor of `gate`."""
    from cogo_dagster.executors.gate.executor import GateExecutor  # noqa: PLC0415 - importing this costs nothing

    return GateExecutor("gate", settings.gate_commands, settings.secret_values())


def build_fix(settings: Settings) -> "GateExecutor":
    """Make the executor of `gate_fix`, which runs the repository's fix first."""
    from cogo_dagster.executors.gate.executor import GateExecutor  # noqa: PLC0415 - as above

    return GateExecutor("gate_fix", settings.gate_commands, settings.secret_values())
