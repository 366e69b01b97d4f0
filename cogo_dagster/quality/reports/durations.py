"""Parses durations in the formats of many tools and locales: 1234.5, 1,234.5, 1.234,5, 0,288."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_SPACES: Final = re.compile(r"[\s_'\u00a0\u2019\u202f]")
_UNIT: Final = re.compile(r"(?P<number>.*?)\s*(?P<unit>ms|sec|secs|seconds|s|)", re.IGNORECASE | re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)
_MAX_SECONDS: Final = 31_536_000.0


def seconds_of(times: Iterable[str]) -> tuple[float | None, list[str]]:
    """Return the sum of the times of one report (None if it has none), and the times that cannot be parsed.

    A negative time, caused by a clock change, counts as 0.
    """
    stripped = [time.strip() for time in times]
    decimal_comma = _has_decimal_comma(stripped)
    total, invalid = 0.0, list[str]()
    for time in stripped:
        seconds = _seconds(time, decimal_comma=decimal_comma)
        if seconds is None or total + seconds > _MAX_SECONDS:
            invalid.append(time)
        else:
            total += max(seconds, 0.0)
    return (total if stripped and len(invalid) < len(stripped) else None), invalid


def _has_decimal_comma(times: Sequence[str]) -> bool:
    """Return whether the comma in 1,234 is a decimal comma, judging by the other times of the report."""
    bare = [_SPACES.sub("", time) for time in times]
    if any("," in time and not _THOUSANDS.fullmatch(time) and time.rfind(".") < time.rfind(",") for time in bare):
        return True
    return not any("." in time for time in bare)


def _seconds(time: str, *, decimal_comma: bool) -> float | None:
    parts = _UNIT.fullmatch(_SPACES.sub("", time))
    text = _with_point(parts["number"] if parts else "", decimal_comma=decimal_comma)
    if not _NUMBER.fullmatch(text):
        return None
    return float(text) / (1_000 if parts and parts["unit"].lower() == "ms" else 1)


def _with_point(text: str, *, decimal_comma: bool) -> str:
    """Return the number without thousands separators and with a decimal point."""
    if "," not in text:
        return text
    if "." in text:
        decimal_comma = text.rfind(",") > text.rfind(".")
    elif not _THOUSANDS.fullmatch(text):
        decimal_comma = True
    return text.replace(".", "").replace(",", ".") if decimal_comma else text.replace(",", "")
