"""A plan: the rows that a dry run found, saved to be changed later, in the same database only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from cogo_dagster.queue.bulk import Operation
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json, JsonValue

MAX_AGE: Final = timedelta(hours=24)
"""An older plan does not describe the queue any more."""

_FORMAT: Final = "cogo plan 1"


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """A bulk operation and the rows to change.

    Attributes:
        items: With `id`, `version` and the planned change of each row.
        deployment_id: The database in which the plan was made.
        where: The search that found the rows; None for a plan of other filters.
        name: Name of the action, for the log.
    """

    operation: Operation
    items: Sequence[Mapping[str, Json]]
    deployment_id: str
    made_at: datetime
    made_by: str
    where: str | None = None
    name: str = ""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the content of a plan file."""
        return {
            "format": _FORMAT,
            "operation": self.operation.function,
            "arguments": self.operation.set_arguments,
            "deployment_id": self.deployment_id,
            "made_at": self.made_at.isoformat(),
            "made_by": self.made_by,
            **({} if self.where is None else {"where": self.where, "name": self.name}),
            "items": list(self.items),
        }

    @classmethod
    def from_json(cls, document: Json) -> Self:
        """Parse the content of a plan file.

        Raises:
            InvalidArgument: The document is not a plan, or is damaged.
        """
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise InvalidArgument(f"This file is not a plan ({_FORMAT!r} is missing): create one with --plan FILE.")
        try:
            return cls(
                operation=Operation(_text(document["operation"]), dict(document["arguments"])),
                items=[_item(item) for item in document["items"]],
                deployment_id=str(UUID(document["deployment_id"])),
                made_at=_moment(document["made_at"]),
                made_by=_text(document["made_by"]),
                where=_text(document["where"]) if "where" in document else None,
                name=_text(document.get("name", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidArgument(
                f"This plan is damaged ({type(error).__name__}: {error}): create a new one with --plan FILE."
            ) from None

    def require(self, function: str, deployment_id: str, now: datetime) -> None:
        """Check that the plan is for this function and database, and not too old.

        Raises:
            InvalidArgument: The plan is for another function or database, or is too old.
        """
        if self.operation.function != function:
            raise InvalidArgument(f"This plan is for {self.operation.function}, not for {function}: nothing was done.")
        if self.deployment_id != deployment_id:
            raise InvalidArgument(
                f"This plan was made in another database ({self.deployment_id}; this one is {deployment_id}): "
                "nothing was done; create a plan in this database with --plan FILE."
            )
        if not -timedelta(minutes=10) <= now - self.made_at <= MAX_AGE:
            raise InvalidArgument(
                f"This plan is stale (made at {self.made_at:%Y-%m-%d %H:%M} UTC, valid for 24 hours): "
                "nothing was done; create a new one with --plan FILE."
            )


def _item(item: Any) -> dict[str, Json]:
    return dict(item) | {"id": str(UUID(item["id"])), "version": _version(item["version"])}


def _version(value: Any) -> str | None:
    return None if value is None else _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of a string")  # the value may be nested too deeply to print
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment
