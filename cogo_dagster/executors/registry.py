"""Which executors this installation has: every package may add one by entry point, without touching this project.

[project.entry-points."cogo_dagster.executors"]
browser = "cogo_dagster.executors.browser:build"     # build(settings) -> Executor

An entry point that cannot be loaded, or whose `build` raises, costs the jobs of its family and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.queue.executor import Executor, InvalidPayload
from cogo_dagster.queue.model import Json, family_of
from cogo_dagster.settings import Settings

GROUP: Final = "cogo_dagster.executors"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the installed entry points gave.

    Attributes:
        executors: Those that were built, in the order of their families' names.
        broken: One sentence for each family whose executor was not, by name.
    """

    executors: list[Executor] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def families() -> Mapping[str, EntryPoint]:
    """Return the families that can be run, by name; loads none of them."""
    return {point.name: point for point in entry_points(group=GROUP)}


def build_executor(family: str, settings: Settings) -> Executor:
    """Load and build the executor of one family.

    Raises:
        KeyError: There is none.
        ExecutorUnavailable: It cannot be loaded or built.
    """
    point = families()[family]
    try:
        executor = point.load()(settings)
        _check(executor)
    except ExecutorUnavailable:
        raise  # its sentence says what to do
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {_said(error)}"
        raise ExecutorUnavailable(f"The executor {family} ({point.value}) cannot be loaded: {reason}.") from error
    built: Executor = executor
    return built


def load_executors(settings: Settings) -> Loaded:
    """Load and build all executors; those that cannot be are named instead."""
    loaded = Loaded()
    for family in sorted(families()):
        try:
            loaded.executors.append(build_executor(family, settings))
        except ExecutorUnavailable as error:
            loaded.broken[family] = str(error)
    return loaded


def build_executors(settings: Settings) -> list[Executor]:
    """Load and build all executors that can be, in the order of their families' names."""
    return load_executors(settings).executors


def broken_executors(settings: Settings) -> dict[str, str]:
    """Return the families whose executor cannot be loaded here, with a sentence that says why."""
    return load_executors(settings).broken


def lacking(settings: Settings) -> dict[str, str]:
    """Return the families that this machine leaves to other workers, with the setting that each lacks."""
    return _lacks(load_executors(settings))


def left_to_others(settings: Settings) -> dict[str, str]:
    """Return the families whose jobs this machine leaves to other workers, with a sentence that says why."""
    loaded = load_executors(settings)
    unset = {
        family: f"Jobs of the family {family} need {setting}, which is not set."
        for family, setting in _lacks(loaded).items()
    }
    return unset | loaded.broken


def validate_payload(type: str, payload: Json, settings: Settings) -> dict[str, Json]:
    """Check a payload by its type's executor, before it is enqueued.

    Raises:
        InvalidPayload: One sentence, also for a type that nothing here can run.
    """
    family = family_of(type)
    if family not in families():
        known = ", ".join(sorted(families()))
        raise InvalidPayload(f"Nothing here runs jobs of type {type!r}: use one of {known} (or install its executor).")
    try:
        executor = build_executor(family, settings)
    except ExecutorUnavailable as error:
        raise InvalidPayload(f"The payload cannot be checked. {error}") from error
    return executor.validate(type, payload)


def _check(executor: Executor) -> None:
    if not isinstance(executor.family, str) or not callable(executor.execute):
        raise TypeError("what it builds is not an executor")
    getattr(executor, "lacks", None)  # a property may raise


def _lacks(loaded: Loaded) -> dict[str, str]:
    found = {executor.family: getattr(executor, "lacks", None) for executor in loaded.executors}
    return {family: setting for family, setting in found.items() if setting}


def _said(error: BaseException) -> str:
    try:
        return str(error).strip().split("\n", 1)[0].rstrip(".")[:500] or "it gave no reason"
    except Exception:  # noqa: BLE001 - an exception of a stranger's package, whose text raises
        return "its text cannot be read"
