"""Which provider to use: those registered, by capability, health and cost. SQL's `select_provider` decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from pydantic import ValidationError

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.base import read_list
from cogo_dagster.queue.rows.providers import ChosenProvider, ProbedProvider, ProviderRow
from cogo_dagster.queue.supabase.edge_functions import EdgeFailed, EdgeFunction, edge_function
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings


class Chooser(Protocol):
    """Somebody else who calls `select_provider`: the edge function."""

    def select(self, arguments: Mapping[str, Json]) -> Json:
        """Return the answer; raise EdgeFailed where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Router:
    """Chooses providers, and keeps the list of them.

    Every method raises `QueueError`.

    Attributes:
        edge: None where the edge function is not to be asked.
    """

    transport: Transport = field(repr=False)
    edge: Chooser | None = field(repr=False, default=None)

    def select(self, capabilities: Sequence[str], max_age_seconds: float = 900) -> ChosenProvider:
        """Choose a provider that has all these capabilities; `provider` is None where there is none to choose.

        Args:
            max_age_seconds: A probe older than this says nothing about health.
        """
        arguments: dict[str, Json] = {"capabilities": list(capabilities), "max_age_seconds": max_age_seconds}
        if self.edge is not None:
            try:
                return ChosenProvider.model_validate(self.edge.select(arguments))
            except (EdgeFailed, ValidationError):
                pass  # the database gives the same answer
        return ChosenProvider.model_validate(self.transport.call("select_provider", arguments))

    def add(
        self,
        provider: str,
        capability: str,
        *,
        probe_url: str | None = None,
        cost: float | None = None,
        enabled: bool | None = None,
    ) -> ProviderRow:
        """Register a provider for a capability, or change how; None leaves what there is."""
        arguments = {
            "provider": provider,
            "capability": capability,
            "probe_url": probe_url,
            "cost": cost,
            "enabled": enabled,
        }
        return ProviderRow.model_validate(self.transport.call("set_provider", arguments))

    def remove(self, provider: str, capability: str | None = None) -> int:
        """Forget a provider, for one capability or all; return for how many it was registered."""
        return int(self.transport.call("remove_provider", {"provider": provider, "capability": capability})["changed"])

    def providers(self, capability: str | None = None) -> list[ProbedProvider]:
        """Return what is registered, with the last probe of each."""
        return read_list(ProbedProvider, self.transport.call("list_providers", {"capability": capability}))


@dataclass(frozen=True, slots=True)
class EdgeRouter:
    """The choice as the function `router-select` makes it."""

    function: EdgeFunction

    def select(self, arguments: Mapping[str, Json]) -> Json:
        """Return what SQL's `select_provider` answers."""
        answer = self.function.call(arguments)
        if not isinstance(answer, dict) or not {"provider", "candidates", "reason"} <= answer.keys():
            raise EdgeFailed("The edge function router-select answers something that is no choice.")
        return answer


def build_router(transport: Transport, settings: Settings) -> Router:
    """Return what chooses providers."""
    return Router(transport, edge_router(settings))


# Kept, so that a function that failed is left alone by all who ask in this process.
@lru_cache(maxsize=16)
def edge_router(settings: Settings) -> EdgeRouter | None:
    """Return the edge function router-select; None where it cannot be called."""
    function = edge_function(settings, "router-select", settings.router_select_url)
    return EdgeRouter(function) if function else None
