"""What is wrong with a payload, in sentences."""

from typing import Any

from pydantic import ValidationError

_MOST = 5


def sentences(error: ValidationError) -> str:
    """Return one sentence per mistake, of the first five."""
    return " ".join(_sentence(dict(problem)) for problem in error.errors()[:_MOST])


def _sentence(problem: dict[str, Any]) -> str:
    reason = problem["msg"].removeprefix("Value error, ").rstrip(".")
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"The payload has no {place}."
    if problem["type"] == "extra_forbidden":
        return f"The payload's {place} is not known."
    return f"The payload's {place}: {reason}." if place else f"The payload is wrong: {reason}."
