"""Calls of bulk actions; see `queue.bulk_actions`, which calls them in batches."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from cogo_dagster.queue.client.ids import IdCalls
from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.base import read_list
from cogo_dagster.queue.rows.bulk_actions import ActionItems, ActionName, BulkAction, MatchCount, ReplayResults
from cogo_dagster.queue.transports.base import without_none


class BulkActionCalls(IdCalls):
    """Calls of bulk actions."""

    def select_for_action(
        self, operation: ActionName, filters: Mapping[str, Json], *, before_id: UUID | None = None, max_jobs: int = 500
    ) -> ActionItems:
        """Return a page of the jobs of filters, and which of them the operation can change."""
        arguments = without_none(
            operation=operation,
            filter=dict(filters),
            before_id=None if before_id is None else str(before_id),
            max_jobs=max_jobs,
        )
        return ActionItems.model_validate(self._transport.call("select_for_action", arguments))

    def count_query(self, filters: Mapping[str, Json]) -> MatchCount:
        """Return how many jobs match filters; see the SQL function `count_query`."""
        return MatchCount.model_validate(self._transport.call("count_query", {"filter": dict(filters)}))

    def suggest_values(self, key: str, prefix: str) -> list[str]:
        """Return values of a filter key that begin with a prefix."""
        found: list[str] = self._transport.call("suggest_values", {"key": key, "prefix": prefix})
        return found

    def plan_action(
        self, action_id: UUID, operation: ActionName, items: Sequence[Mapping[str, Json]], **described: Json
    ) -> BulkAction:
        """Store an action, or add items to it.

        Args:
            items: With `id` and `version`, at most 1,000.
            described: `actor`, `name`, `query`, `arguments` and `summary` of the SQL function `plan_bulk_action`.
        """
        arguments = {"action_id": str(action_id), "operation": operation, "items": list(items), **described}
        return BulkAction.model_validate(self._transport.call("plan_bulk_action", arguments))

    def run_action(self, action_id: UUID, actor: str, batch_size: int = 500, *, continues: bool = False) -> BulkAction:
        """Change the next batch of an action's jobs; of a stopped action only if it `continues`."""
        arguments = {
            "action_id": str(action_id),
            "actor": actor,
            "batch_size": batch_size,
            "continues": continues,
        }
        return BulkAction.model_validate(self._transport.call("run_bulk_action", arguments))

    def stop_action(self, action_id: UUID) -> BulkAction:
        """Stop an action after the batch that runs."""
        return BulkAction.model_validate(self._transport.call("stop_bulk_action", {"action_id": str(action_id)}))

    def list_actions(self, *, part: str | None = None, max_actions: int = 50) -> list[BulkAction]:
        """Return bulk actions, newest first.

        Args:
            part: Only those whose ID begins or ends with these digits.
        """
        found = self._transport.call("list_bulk_actions", without_none(part=part, max_actions=max_actions))
        return read_list(BulkAction, found)

    def find_action(self, part: str) -> BulkAction:
        """Return the action whose ID begins or ends with these digits.

        Raises:
            JobNotFound: There is no such action.
            InvalidArgument: There are several.
        """
        found = self.list_actions(part=str(self.find_any("action", part)), max_actions=1)
        if not found:
            raise JobNotFound(f"There is no bulk action {part}: list them with `cogo list actions`.")
        return found[0]

    def replay_results(self, fingerprints: Sequence[str]) -> dict[str, ReplayResults]:
        """Return what became of the replays of causes, by fingerprint; causes without an ended replay are left out."""
        found = self._transport.call("replay_results", {"fingerprints": list(fingerprints)})
        return {name: ReplayResults.model_validate(result) for name, result in found.items()}
