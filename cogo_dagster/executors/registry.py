"""Which executors this installation has: every package may add one by entry point, without touching this project.

[project.entry-points."cogo_dagster.executors"]
browser = "cogo_dagster.executors.browser.executor:BrowserExecutor"     # a subclass of Executor

An entry point that cannot be loaded, or whose `build` raises, costs the jobs of its family and nothing else.
A function in the place of the class is an executor of before the class `Executor`; see `former`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.former import FormerExecutor
from cogo_dagster.queue.executor import Executor, ExecutorContext, InvalidPayload
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

    @property
    def lacking(self) -> dict[str, str]:
        """The families that this machine leaves to other workers, with the setting that each lacks."""
        return {executor.family: setting for executor in self.executors if (setting := executor.lacks)}


def families() -> Mapping[str, EntryPoint]:
    """Return the families that can be run, by name; loads none of them."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load_executors(context: ExecutorContext) -> Loaded:
    """Load and build all executors; those that cannot be are named instead."""
    loaded = Loaded()
    for family, point in sorted(families().items()):
        try:
            loaded.executors.append(_built(point, context))
        except ExecutorUnavailable as error:
            loaded.broken[family] = str(error)
    return loaded


def installed_executors(settings: Settings) -> Loaded:
    """Load and build all executors without a database: to look at them, not to run jobs."""
    return load_executors(ExecutorContext.offline(settings))


def left_to_others(settings: Settings) -> dict[str, str]:
    """Return the families whose jobs this machine leaves to other workers, with a sentence that says why."""
    loaded = installed_executors(settings)
    unset = {
        family: f"Jobs of the family {family} need {setting}, which is not set."
        for family, setting in loaded.lacking.items()
    }
    return unset | loaded.broken


def validate_payload(type: str, payload: Json, settings: Settings) -> dict[str, Json]:
    """Check a payload by its type's executor, before it is enqueued; builds no executor.

    Raises:
        InvalidPayload: One sentence, also for a type that nothing here can run.
    """
    found = families()
    point = found.get(family_of(type))
    if point is None:
        known = ", ".join(sorted(found))
        raise InvalidPayload(f"Nothing here runs jobs of type {type!r}: use one of {known} (or install its executor).")
    try:
        executor = _class_of(point) or _built(point, ExecutorContext.offline(settings))
    except ExecutorUnavailable as error:
        raise InvalidPayload(f"The payload cannot be checked. {error}") from error
    if isinstance(executor, FormerExecutor):
        return executor.checked(type, payload)
    return executor.validate(type, payload, settings)


def _class_of(point: EntryPoint) -> type[Executor] | None:
    """Return the class that an entry point names; None where it names a function.

    Raises:
        ExecutorUnavailable: It cannot be loaded.
    """
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        raise _unavailable(point, error) from error
    return found if isinstance(found, type) and issubclass(found, Executor) else None


def _built(point: EntryPoint, context: ExecutorContext) -> Executor:
    executor = _class_of(point)
    try:
        built = FormerExecutor.of(point.load(), context) if executor is None else executor.build(context)
        _check(built, point.name)
    except ExecutorUnavailable:
        raise  # its sentence says what to do
    except (Exception, SystemExit) as error:
        raise _unavailable(point, error) from error
    return built


def _check(executor: Executor, family: str) -> None:
    if executor.family != family:
        raise TypeError(f"it runs the family {executor.family!r}")
    _ = executor.lacks  # a property may raise


def _unavailable(point: EntryPoint, error: BaseException) -> ExecutorUnavailable:
    reason = f"{type(error).__name__}: {_said(error)}"
    return ExecutorUnavailable(f"The executor {point.name} ({point.value}) cannot be loaded: {reason}.")


def _said(error: BaseException) -> str:
    try:
        return str(error).strip().split("\n", 1)[0].rstrip(".")[:500] or "it gave no reason"
    except Exception:  # noqa: BLE001 - an exception of a stranger's package, whose text raises
        return "its text cannot be read"
