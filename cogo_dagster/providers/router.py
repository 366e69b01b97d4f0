"""Selection of a provider by capability, health and cost, by the SQL function `select_provider`."""

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


class Selector(Protocol):
    """Another caller of `select_provider`: the edge function."""

    def select(self, arguments: Mapping[str, Json]) -> Json:
        """Return the result; raise EdgeFailed if the request fails."""
        ...


@dataclass(frozen=True, slots=True)
class Router:
    """Selects and registers providers.

    Every method raises `QueueError`.

    Attributes:
        edge: The edge function; None if it is not used.
    """

    transport: Transport = field(repr=False)
    edge: Selector | None = field(repr=False, default=None)

    def select(self, capabilities: Sequence[str], max_age_seconds: float = 900) -> ChosenProvider:
        """Select a provider with all these capabilities; `provider` is None if there is none.

        Args:
            capabilities: Required capabilities.
            max_age_seconds: Maximum age of a probe; older ones are ignored.
        """
        arguments: dict[str, Json] = {"capabilities": list(capabilities), "max_age_seconds": max_age_seconds}
        if self.edge is not None:
            try:
                return ChosenProvider.model_validate(self.edge.select(arguments))
            except (EdgeFailed, ValidationError):
                pass  # the database returns the same result
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
        """Register a provider for a capability, or change its values; None leaves a value unchanged."""
        arguments = {
            "provider": provider,
            "capability": capability,
            "probe_url": probe_url,
            "cost": cost,
            "enabled": enabled,
        }
        return ProviderRow.model_validate(self.transport.call("set_provider", arguments))

    def remove(self, provider: str, capability: str | None = None) -> int:
        """Remove a provider for one capability or all; return the number of removed registrations."""
        return int(self.transport.call("remove_provider", {"provider": provider, "capability": capability})["changed"])

    def providers(self, capability: str | None = None) -> list[ProbedProvider]:
        """Return the registered providers, with the last probe of each."""
        return read_list(ProbedProvider, self.transport.call("list_providers", {"capability": capability}))


@dataclass(frozen=True, slots=True)
class EdgeRouter:
    """Selects providers by the edge function `router-select`."""

    function: EdgeFunction

    def select(self, arguments: Mapping[str, Json]) -> Json:
        """Return the result of the SQL function `select_provider`."""
        response = self.function.call(arguments)
        if not isinstance(response, dict) or not {"provider", "candidates", "reason"} <= response.keys():
            raise EdgeFailed("The response of the edge function router-select is not a selection.")
        return response


def build_router(transport: Transport, settings: Settings) -> Router:
    """Return the router of these settings."""
    return Router(transport, edge_router(settings))


# Cached, so that all callers in this process skip a function that has failed.
@lru_cache(maxsize=16)
def edge_router(settings: Settings) -> EdgeRouter | None:
    """Return the client of the edge function router-select; None if it is not configured."""
    function = edge_function(settings, "router-select", settings.router_select_url)
    return EdgeRouter(function) if function else None
