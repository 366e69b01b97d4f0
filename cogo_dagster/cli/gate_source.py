"""Where a command takes the gate's numbers from: the metrics API, or the database."""

from enum import StrEnum
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.quality.api import MetricsApi
from cogo_dagster.quality.records import GateSummary
from cogo_dagster.quality.verdict import Threshold
from cogo_dagster.settings import Settings, SettingsError


class Source(StrEnum):
    """The two."""

    API = "api"
    DB = "db"


SourceOption = Annotated[
    Source, typer.Option("--source", help="api: the metrics API below METRICS_BASE. db: the database itself.")
]
MinPassRateOption = Annotated[
    float | None,
    typer.Option(
        "--min-pass-rate", min=0, max=100, help="Per cent that must have passed; COGO_GATE_MIN_PASS_RATE if left out."
    ),
]
MinRunsOption = Annotated[
    int | None, typer.Option("--min-runs", min=1, help="Runs a verdict needs; COGO_GATE_MIN_RUNS if left out.")
]
BranchOption = Annotated[str | None, typer.Option(help="The base branch; COGO_GATE_BRANCH if left out.")]


def chosen_threshold(settings: Settings, min_pass_rate: float | None, min_runs: int | None) -> Threshold:
    """Return the threshold of the options, filled up by the settings."""
    return Threshold(
        settings.gate_min_pass_rate if min_pass_rate is None else min_pass_rate,
        settings.gate_min_runs if min_runs is None else min_runs,
    )


def metrics_api(settings: Settings) -> MetricsApi:
    """Return the API's client.

    Raises:
        SettingsError: METRICS_BASE is missing.
    """
    if not settings.metrics_base:
        raise SettingsError(
            "METRICS_BASE is not set: set it to the metrics API's address (https://ops.example.com) or use --source db."
        )
    return MetricsApi(settings.metrics_base, settings.admin_token)


def read_summary(settings: Settings, source: Source, hours: float, branch: str | None) -> GateSummary:
    """Return the numbers of the hours before now."""
    if source is Source.API:
        return metrics_api(settings).summary(hours, branch or settings.gate_branch)
    with open_application(settings) as application:
        return application.gates.summary(hours, branch)
