"""A plan: what a dry run found, kept in a file, to be done later to exactly those rows and in that database only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from cogo_dagster.queue.bulk import Operation
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json, JsonValue

LONGEST_AGE: Final = timedelta(hours=24)
"""An older plan describes a queue that is no more."""

_FORMAT: Final = "cogo plan 1"


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """What is to be done to which rows.

    Attributes:
        items: With `id` and `version` and what becomes of each row.
        deployment_id: Of the database that the plan was made in.
    """

    operation: Operation
    items: Sequence[Mapping[str, Json]]
    deployment_id: str
    made_at: datetime
    made_by: str

    def to_json(self) -> dict[str, JsonValue]:
        """Return the document that a plan file holds."""
        return {
            "format": _FORMAT,
            "operation": self.operation.function,
            "arguments": self.operation.given,
            "deployment_id": self.deployment_id,
            "made_at": self.made_at.isoformat(),
            "made_by": self.made_by,
            "items": list(self.items),
        }

    @classmethod
    def from_json(cls, document: Json) -> Self:
        """Read what `to_json` wrote.

        Raises:
            InvalidArgument: It is no plan, or a damaged one.
        """
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise InvalidArgument(f"This file is no plan ({_FORMAT!r} is missing): make one with --plan FILE.")
        try:
            return cls(
                operation=Operation(_text(document["operation"]), dict(document["arguments"])),
                items=[_item(item) for item in document["items"]],
                deployment_id=str(UUID(document["deployment_id"])),
                made_at=_moment(document["made_at"]),
                made_by=_text(document["made_by"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidArgument(f"This plan is damaged ({type(error).__name__}: {error}): make a new one.") from None

    def require(self, function: str, deployment_id: str, now: datetime) -> None:
        """Refuse a plan that is for something else, somewhere else, or of another time.

        Raises:
            InvalidArgument: With what to do.
        """
        if self.operation.function != function:
            raise InvalidArgument(f"This plan is for {self.operation.function}, not for {function}: nothing was done.")
        if self.deployment_id != deployment_id:
            raise InvalidArgument(
                f"This plan was made in another database ({self.deployment_id}, and this is {deployment_id}): "
                "nothing was done; make a plan here."
            )
        if not -timedelta(minutes=10) <= now - self.made_at <= LONGEST_AGE:
            raise InvalidArgument(
                f"This plan is stale (of {self.made_at:%Y-%m-%d %H:%M} UTC, and good for a day): "
                "nothing was done; make a new one."
            )


def _item(item: Any) -> dict[str, Json]:
    return dict(item) | {"id": str(UUID(item["id"])), "version": _text(item["version"])}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of a text")  # the value may be too deep to be printed
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment
