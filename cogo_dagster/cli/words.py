"""What commands read and say: durations, and the words that pages use too."""

import typer

from cogo_dagster.formatting.values import (
    NOTHING,
    distance,
    error_line,
    one_line,
    parse_duration,
    run_time,
    size,
    until,
)

__all__ = ["NOTHING", "BadInput", "distance", "error_line", "one_line", "run_time", "seconds_of", "size", "until"]


class BadInput(typer.TyperException):
    """An option's value cannot be used; the message is one sentence that says what to correct."""

    exit_code = 2


def seconds_of(given: str | float) -> float:
    """Read a duration: `90`, `90s`, `30m`, `2h`, `1d`, `1w`.

    Raises:
        BadParameter: It is not one, or longer than ten years.
    """
    seconds = parse_duration(str(given))
    if seconds is None:
        raise typer.BadParameter(
            f"{given!r} is not a duration of at most ten years: write it as 90s, 30m, 2h, 1d or 1w"
        )
    return seconds
