"""Retries of calls, shared by the transports."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.errors import UNKNOWN, Rule, error_of, rule_of_exception
from cogo_dagster.queue.limits import limited

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Failed(Exception):
    """One attempt of a call failed.

    Attributes:
        rule: How to handle the error.
        code: SQLSTATE, PostgREST code, HTTP status or class.
        message: The message of the server or driver.
        detail: The detail of the queue's error.
        at_least_seconds: Minimum pause that the server requested.
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
    """Log an unknown error; return it."""
    if failed.rule is UNKNOWN:
        logger.warning("The database returned %s (%s): the call is repeated.", failed.code, failed.message)
    return failed


def encoded(arguments: Mapping[str, object], *, for_http: bool = False) -> str:
    """Return the arguments as JSON.

    Args:
        arguments: The arguments of a call.
        for_http: Reject what httpx rejects too: NaN and lone surrogates.

    Raises:
        InvalidArgument: The arguments cannot be encoded as JSON.
    """
    try:
        text = json.dumps(arguments, separators=(",", ":"), allow_nan=not for_http, ensure_ascii=not for_http)
        if for_http:
            text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise error_of(rule_of_exception(error), type(error).__name__, str(error)) from error
    return text


def with_retries(once: Callable[[float], T], *, tries: int, first_pause_seconds: float, seconds: float) -> T:
    """Call `once` until it succeeds, or the error's rule, the number of attempts or the time limit ends the retries.

    Args:
        once: Makes one attempt with the remaining seconds; raises `Failed`.
        tries: Maximum number of attempts.
        first_pause_seconds: Pause before the second attempt; each further pause is three times as long.
        seconds: Limit of all attempts and pauses together; the caller's `call_limit` may be lower.

    Raises:
        QueueError: The error of the last attempt.
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
            pause_seconds = failed.at_least_seconds + next(pauses)
            repeats = failed.code in seen
            enough = tried >= min(tries, failed.rule.tries) or (repeats and failed.rule.repeated)
            if enough or time.monotonic() + pause_seconds >= deadline:
                error = error_of(failed.rule, failed.code, failed.message, failed.detail, repeats=repeats)
                raise error from failed.__cause__
            seen.add(failed.code)
        time.sleep(pause_seconds)
