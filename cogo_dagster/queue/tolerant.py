"""Field types for rows that may contain invalid values: a value that cannot be read is shown as unreadable.

Each type accepts any value from the database; if it does not fit the column, the field holds a string that begins with
`unreadable: ` and the reason, so that one row never fails a list. OpenAPI describes both.
"""

import math
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, GetPydanticSchema, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import core_schema

from cogo_dagster.queue.decoding import Unreadable, read_time
from cogo_dagster.text import storable_json

_SHOWN_CHARS: Final = 60

_PatternedText = Annotated[
    str, Field(pattern="^unreadable: ", description="Why the value cannot be read, after `unreadable: `.")
]
UnreadableText = Annotated[
    Unreadable,
    GetPydanticSchema(
        lambda _, handler: core_schema.no_info_after_validator_function(Unreadable, handler(_PatternedText))
    ),
]


def _time(value: object) -> datetime | Unreadable:
    return value if isinstance(value, datetime | Unreadable) else read_time(value)


def _maybe_time(value: object) -> datetime | Unreadable | None:
    return None if value is None else _time(value)


def _number(value: object) -> float | Unreadable:
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        return value
    return _unreadable(value, "not a number")


def _maybe_number(value: object) -> float | Unreadable | None:
    return None if value is None else _number(value)


def _measure(value: object) -> object:
    return None if isinstance(_number(value), Unreadable) else value


def _whole(value: object) -> float | Unreadable:
    number = _number(value)
    return (
        number if isinstance(number, Unreadable) or number == int(number) else _unreadable(value, "not a whole number")
    )


def _bounded(value: Any) -> Any:
    return storable_json(value)[0]


def _otherwise_unreadable(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValueError:
        return _unreadable(value, "not a valid value")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a float
        return False


def _unreadable(value: object, reason: str) -> Unreadable:
    if isinstance(value, dict | list):  # may have any size and depth
        return Unreadable(f"unreadable: {'an object' if isinstance(value, dict) else 'a list'} is {reason}")
    try:
        shown = repr(value)
    except ValueError:
        shown = "a number of more than 4,300 digits"
    cut = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"
    return value if isinstance(value, Unreadable) else Unreadable(f"unreadable: {cut} is {reason}")


Time = Annotated[datetime | UnreadableText, BeforeValidator(_time)]
MaybeTime = Annotated[datetime | UnreadableText | None, BeforeValidator(_maybe_time)]
Number = Annotated[float | UnreadableText, BeforeValidator(_number)]
MaybeNumber = Annotated[float | UnreadableText | None, BeforeValidator(_maybe_number)]
Whole = Annotated[int | UnreadableText, BeforeValidator(_whole)]
Measure = Annotated[float | None, BeforeValidator(_measure)]
"""A number of a chart or a sum; None if it cannot be drawn."""

OrUnreadable = WrapValidator(_otherwise_unreadable)
"""Annotates a union with `UnreadableText`: a value that does not fit becomes that string."""

Value = Annotated[Any, BeforeValidator(_bounded)]
"""Any JSON; parts nested deeper than 200 levels and numbers of more than 300 digits become such strings."""

Counters = Annotated[dict[str, Whole] | UnreadableText | None, OrUnreadable]
Document = Annotated[dict[str, Any] | UnreadableText, OrUnreadable, BeforeValidator(_bounded)]
MaybeDocument = Annotated[dict[str, Any] | UnreadableText | None, OrUnreadable, BeforeValidator(_bounded)]
