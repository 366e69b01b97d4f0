"""An attempt's result and files as they may be stored: text made storable, and without known secrets."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Final

from cogo_dagster.queue.model import ArtifactFile, Json
from cogo_dagster.redaction import redactor_of
from cogo_dagster.text import storable, storable_json

_SMALL_PARTS: Final = 100
_SMALL_CHARACTERS: Final = 20_000

InThread = Callable[[Callable[[], Json]], Awaitable[Json]]
"""Runs a function beside the event loop."""


def is_small(value: Json) -> bool:
    """Whether looking at every part of a document takes less than a millisecond."""
    parts, characters = 0, 0
    waiting = [value]
    while waiting:
        part = waiting.pop()
        parts += 1
        if isinstance(part, str):
            characters += len(part)
        elif isinstance(part, dict):
            parts += len(part)
            if parts > _SMALL_PARTS:
                return False
            characters += sum(len(name) for name in part if isinstance(name, str))
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            parts += len(part)
            if parts > _SMALL_PARTS:
                return False
            waiting.extend(part)
        if parts > _SMALL_PARTS or characters > _SMALL_CHARACTERS:
            return False
    return True


def kept_result(result: Json, secrets: Collection[str]) -> Json:
    """Return a result as it may be stored; an object says in `text_replaced` that some of it was changed for that.

    Raises:
        Exception: The result is an object of a kind of its own that fails when it is looked at.
    """
    if result is None:
        return None
    stored, changed = storable_json(result)
    if changed and isinstance(stored, dict):
        stored = {**stored, "text_replaced": True}
    return redactor_of(tuple(secrets), known_only=True).json(stored)


def kept_files(artifacts: tuple[ArtifactFile, ...], secrets: Collection[str]) -> tuple[ArtifactFile, ...]:
    """Return the files under names that may be stored and shown."""
    return tuple(_kept_file(file, secrets) for file in artifacts)


def _kept_file(file: ArtifactFile, secrets: Collection[str]) -> ArtifactFile:
    given: object = file.name
    if not isinstance(given, str):  # the upload rejects it
        return file
    name = redactor_of(tuple(secrets), known_only=True).text(storable(file.name))
    return file if name == file.name else replace(file, name=name)


async def kept(result: Json, secrets: Collection[str], in_thread: InThread) -> Json:
    """Return the result as it may be stored; one that is not small is looked at beside the event loop."""
    if is_small(result):
        return kept_result(result, secrets)
    return await in_thread(lambda: kept_result(result, secrets))
