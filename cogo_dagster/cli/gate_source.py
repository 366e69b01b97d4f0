"""Where a command takes the gate's numbers from: the metrics API, or the database."""

from enum import StrEnum
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.quality.api import MetricsApi
from cogo_dagster.quality.model import GateSummary
from cogo_dagster.settings import Settings, SettingsError


class Source(StrEnum):
    """The two."""

    API = "api"
    DB = "db"


SourceOption = Annotated[
    Source, typer.Option("--source", help="api: the metrics API below METRICS_BASE. db: the database itself.")
]
BranchOption = Annotated[str | None, typer.Option(help="The base branch; COGO_GATE_BRANCH if left out.")]


def metrics_api(settings: Settings) -> MetricsApi:
    """Return the API's client.

    Raises:
        SettingsError: METRICS_BASE is missing.
    """
    if not settings.metrics_base:
        raise SettingsError(
            "METRICS_BASE is not set: set it to the metrics API's address (https://ops.example.com) or use --source db."
        )
    return MetricsApi(settings.metrics_base)


def read_summary(settings: Settings, source: Source, hours: float, branch: str | None) -> GateSummary:
    """Return the numbers of the hours before now."""
    if source is Source.API:
        return metrics_api(settings).summary(hours, branch or settings.gate_branch)
    with open_application(settings) as application:
        return application.gates.summary(hours, branch)
