"""Providers that the router chooses from, and what probes found."""

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeTime, Measure, Number, Time


class ProviderRow(Row):
    """A provider as it is registered for a capability."""

    provider: str
    capability: str
    probe_url: str | None
    cost: Number
    enabled: bool
    created_at: Time
    updated_at: Time


class ProbedProvider(ProviderRow):
    """A registered provider with its last probe; None where it was never probed."""

    healthy: bool | None
    latency_ms: Measure
    error: str | None
    checked_at: MaybeTime
    since: MaybeTime


class ProviderHealthRow(Row):
    """What the last probe of a provider found; `since`: since when it is as healthy as it is."""

    provider: str
    capability: str
    healthy: bool
    latency_ms: Measure
    error: str | None
    checked_at: Time
    since: Time


class Candidate(Row):
    """A provider that has all capabilities that were asked for."""

    provider: str
    cost: Number
    healthy: bool | None
    latency_ms: Measure
    checked_at: MaybeTime
    error: str | None


class ChosenProvider(Row):
    """The router's choice; `provider` is None where there is none to choose."""

    provider: str | None
    capabilities: list[str]
    cost: Measure
    healthy: bool | None
    latency_ms: Measure
    checked_at: MaybeTime
    reason: str
    candidates: list[Candidate]
