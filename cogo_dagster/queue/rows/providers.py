"""Providers for the router, and the results of probes."""

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeTime, Measure, Number, Time


class ProviderRow(Row):
    """A provider registered for a capability."""

    provider: str
    capability: str
    probe_url: str | None
    cost: Number
    enabled: bool
    created_at: Time
    updated_at: Time


class ProbedProvider(ProviderRow):
    """A registered provider with its last probe; None if it was never probed."""

    healthy: bool | None
    latency_ms: Measure
    error: str | None
    checked_at: MaybeTime
    since: MaybeTime


class ProviderHealthRow(Row):
    """The result of a provider's last probe; `since` is the time of the last change of health."""

    provider: str
    capability: str
    healthy: bool
    latency_ms: Measure
    error: str | None
    checked_at: Time
    since: Time


class Candidate(Row):
    """A provider that has all requested capabilities."""

    provider: str
    cost: Number
    healthy: bool | None
    latency_ms: Measure
    checked_at: MaybeTime
    error: str | None


class ChosenProvider(Row):
    """The router's choice; `provider` is None if there is no candidate."""

    provider: str | None
    capabilities: list[str]
    cost: Measure
    healthy: bool | None
    latency_ms: Measure
    checked_at: MaybeTime
    reason: str
    candidates: list[Candidate]
