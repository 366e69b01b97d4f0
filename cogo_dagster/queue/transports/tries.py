"""How often and how long a call is tried, whichever way it goes."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.errors import UNKNOWN, Rule, made, rule_of_exception
from cogo_dagster.queue.limits import limited

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Failed(Exception):
    """One try has failed.

    Attributes:
        rule: What the error means.
        code: SQLSTATE, PostgREST code, HTTP status or class.
        message: What was said.
        detail: Of the engine's error.
        at_least_seconds: How long the server asked to wait.
    """

    def __init__(
        self, rule: Rule, code: str, message: str, detail: str | None = None, at_least_seconds: float = 0
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.rule = rule
        self.code = code
        self.message = message
        self.detail = detail
        self.at_least_seconds = at_least_seconds


def logged(failed: Failed) -> Failed:
    """Log an error that nobody foresaw; return it."""
    if failed.rule is UNKNOWN:
        logger.warning("The database answered %s (%s): the call is repeated.", failed.code, failed.message)
    return failed


def encoded(arguments: Mapping[str, object], *, for_http: bool = False) -> str:
    """Return the arguments as JSON.

    Args:
        arguments: Of a call.
        for_http: Refuse what httpx refuses too: NaN, and halves of surrogate pairs.

    Raises:
        InvalidArgument: JSON cannot say them.
    """
    try:
        text = json.dumps(arguments, separators=(",", ":"), allow_nan=not for_http, ensure_ascii=not for_http)
        if for_http:
            text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise made(rule_of_exception(error), type(error).__name__, str(error)) from error
    return text


def repeated(once: Callable[[float], T], *, tries: int, first_pause_seconds: float, seconds: float) -> T:
    """Try until there is an answer, or the error's rule, the number of tries or the time says to stop.

    Args:
        once: One try, given the seconds that are left; raises `Failed`.
        tries: At most.
        first_pause_seconds: Wait before the second try; each further wait is three times as long.
        seconds: For all tries and pauses together; the caller's `call_limit` may be lower.

    Raises:
        QueueError: What the last failure means.
    """
    deadline = time.monotonic() + limited(seconds)
    pauses = Backoff(first_pause_seconds, factor=3).pauses()
    tried = 0
    seen: set[str] = set()
    while True:
        tried += 1
        try:
            return once(deadline - time.monotonic())
        except Failed as failed:
            rest_seconds = failed.at_least_seconds + next(pauses)
            repeats = failed.code in seen
            enough = tried >= min(tries, failed.rule.tries) or (repeats and failed.rule.repeated)
            if enough or time.monotonic() + rest_seconds >= deadline:
                error = made(failed.rule, failed.code, failed.message, failed.detail, repeats=repeats)
                raise error from failed.__cause__
            seen.add(failed.code)
        time.sleep(rest_seconds)
