"""What is wrong with a document, as pydantic finds it, in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

_MAX_SENTENCES: Final = 5


class Invalid(Protocol):
    """An error of pydantic's, or of a framework that carries its findings."""

    def errors(self) -> Sequence[Any]:
        """Return what is wrong, one mapping per place."""
        ...


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        kind: Pydantic's name of it, such as `missing`.
        place: The keys that lead there.
        reason: Why, without a full stop.
        given: What stands there.
    """

    kind: str
    place: tuple[str, ...]
    reason: str
    given: object

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Mistake":
        """Read one of pydantic's findings; a check of our own says why in its own words."""
        reason = str(found["msg"]).removeprefix("Value error, ").rstrip(".")
        return cls(found["type"], tuple(str(part) for part in found["loc"]), reason, found.get("input"))

    @property
    def path(self) -> str:
        """The place as people write it."""
        return ".".join(self.place)

    @property
    def lowered(self) -> str:
        """The reason as the end of a sentence."""
        return self.reason[:1].lower() + self.reason[1:]

    def sentence(self, subject: str) -> str:
        """Say it of a subject: `payload`."""
        if self.kind == "missing":
            return f"The {subject} has no {self.path}."
        if self.kind == "extra_forbidden":
            return f"The {subject}'s {self.path} is not known."
        return (
            f"The {subject}'s {self.path}: {self.reason}." if self.place else f"The {subject} is wrong: {self.reason}."
        )


def mistakes(error: Invalid) -> list[Mistake]:
    """Return all that is wrong."""
    return [Mistake.of(found) for found in error.errors()]


def sentences(error: Invalid, subject: str = "payload") -> str:
    """Return one sentence per mistake, of the first five."""
    return " ".join(mistake.sentence(subject) for mistake in mistakes(error)[:_MAX_SENTENCES])
