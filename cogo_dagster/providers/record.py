"""Stored results of health probes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.base import read_list
from cogo_dagster.queue.rows.providers import ProviderHealthRow
from cogo_dagster.queue.transports.base import Transport

if TYPE_CHECKING:
    from cogo_dagster.providers.probes import ProbeResult


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """Stores the last probe of each provider and capability. Every method raises `QueueError`."""

    transport: Transport = field(repr=False)

    def keep(self, results: "Sequence[ProbeResult]") -> dict[str, Json]:
        """Store results; return the number `recorded`, and `changed`: those whose health has changed."""
        call = {"results": [result.to_json() for result in results]}
        return dict(self.transport.call("record_provider_health", call))

    def providers(self) -> list[ProviderHealthRow]:
        """Return the last probe of each provider, failing ones first."""
        return read_list(ProviderHealthRow, self.transport.call("list_provider_health", {}))
