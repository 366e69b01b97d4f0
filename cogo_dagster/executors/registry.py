"""Which executors this installation has: every package may add one by entry point, without touching this project.

[project.entry-points."cogo_dagster.executors"]
browser = "cogo_dagster.executors.browser:build"     # build(settings) -> Executor
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from cogo_dagster.queue.executor import Executor, InvalidPayload
from cogo_dagster.queue.model import Json, family_of
from cogo_dagster.settings import Settings

GROUP: Final = "cogo_dagster.executors"


def families() -> Mapping[str, EntryPoint]:
    """Return the families that can be run, by name; loads none of them."""
    return {point.name: point for point in entry_points(group=GROUP)}


def build_executor(family: str, settings: Settings) -> Executor:
    """Load and build the executor of one family.

    Raises:
        KeyError: There is none.
    """
    executor: Executor = families()[family].load()(settings)
    return executor


def build_executors(settings: Settings) -> list[Executor]:
    """Load and build all executors, in the order of their families' names."""
    return [build_executor(family, settings) for family in sorted(families())]


def lacking(settings: Settings) -> dict[str, str]:
    """Return the families that this machine leaves to other workers, with the setting that each lacks."""
    lacks = {executor.family: getattr(executor, "lacks", None) for executor in build_executors(settings)}
    return {family: setting for family, setting in lacks.items() if setting}


def validate_payload(type: str, payload: Json, settings: Settings) -> dict[str, Json]:
    """Check a payload by its type's executor, before it is enqueued.

    Raises:
        InvalidPayload: One sentence, also for a type that nothing here can run.
    """
    family = family_of(type)
    if family not in families():
        known = ", ".join(sorted(families()))
        raise InvalidPayload(f"Nothing here runs jobs of type {type!r}: use one of {known} (or install its executor).")
    return build_executor(family, settings).validate(type, payload)
