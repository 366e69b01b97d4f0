"""Formats validation errors of pydantic as messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

_MAX_MESSAGES: Final = 5


class Invalid(Protocol):
    """A validation error of pydantic, or of a framework that wraps one."""

    def errors(self) -> Sequence[Any]:
        """Return the errors, one mapping per location."""
        ...


@dataclass(frozen=True, slots=True)
class Mistake:
    """One validation error.

    Attributes:
        kind: Type of the error in pydantic, such as `missing`.
        place: Path of keys to the value.
        reason: Message, without a full stop.
        value: The invalid value.
    """

    kind: str
    place: tuple[str, ...]
    reason: str
    value: object

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Mistake":
        """Return the error of a mapping of pydantic, without the prefix of custom validators."""
        reason = str(found["msg"]).removeprefix("Value error, ").rstrip(".")
        place = tuple(str(part) for part in found["loc"])
        # The path of a value in a union ends with the name of the member, such as `constrained-float`.
        if len(place) > 1 and (place[-1].startswith("constrained-") or place[-1] == found["type"].partition("_")[0]):
            place = place[:-1]
        return cls(found["type"], place, reason, found.get("input"))

    @property
    def path(self) -> str:
        """Return the path joined by dots."""
        return ".".join(self.place)

    @property
    def lowered(self) -> str:
        """Return the reason starting with a lower-case letter."""
        return self.reason[:1].lower() + self.reason[1:]

    def message(self, subject: str) -> str:
        """Return a message about a subject, such as `payload`."""
        if self.kind == "missing":
            return f"The {subject} has no {self.path}."
        if self.kind == "extra_forbidden":
            return f"The {subject}'s {self.path} is unknown."
        return (
            f"The {subject}'s {self.path}: {self.reason}."
            if self.place
            else f"The {subject} is invalid: {self.reason}."
        )


def mistakes(error: Invalid) -> list[Mistake]:
    """Return all validation errors."""
    return [Mistake.of(found) for found in error.errors()]


def validation_messages(error: Invalid, subject: str = "payload") -> str:
    """Return one message per validation error, for at most five."""
    return " ".join(mistake.message(subject) for mistake in mistakes(error)[:_MAX_MESSAGES])
