"""The executors of this installation. Any installed package can add one with an entry point.

[project.entry-points."cogo_dagster.executors"]
browser = "cogo_dagster.executors.browser.executor:BrowserExecutor"     # a subclass of Executor

An entry point that cannot be loaded, or whose `build` raises, affects only the jobs of its family.
An entry point may also name a function, as packages did before the class `Executor` existed; see `legacy`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.legacy import LegacyExecutor
from cogo_dagster.queue.executor import Executor, ExecutorContext, InvalidPayload
from cogo_dagster.queue.model import Json, family_of
from cogo_dagster.settings import Settings

GROUP: Final = "cogo_dagster.executors"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The executors that the installed entry points provide.

    Attributes:
        executors: The executors that could be built, ordered by family.
        broken: An error message for each family whose executor could not be built.
    """

    executors: list[Executor] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def lacking(self) -> dict[str, str]:
        """The families that this machine leaves to other workers, each with the setting that is not set."""
        return {executor.family: setting for executor in self.executors if (setting := executor.lacks)}


@dataclass(frozen=True, slots=True)
class JobType:
    """A type whose payloads this installation can validate.

    Attributes:
        model: The model of its payloads; None if there is none, so that only `validate_payload` knows the rules.
    """

    name: str
    model: type[BaseModel] | None


def families() -> Mapping[str, EntryPoint]:
    """Return the entry points by family, without loading them.

    They are searched again after a change of `sys.path` or of a folder in it: a search reads a file of each package.
    """
    return _families_in(tuple((path, _modified_at(path)) for path in sys.path))


def load_executors(context: ExecutorContext) -> Loaded:
    """Load and build all executors; failures are recorded in `broken`."""
    loaded = Loaded()
    for family, point in sorted(families().items()):
        try:
            loaded.executors.append(_built(point, context))
        except ExecutorUnavailable as error:
            loaded.broken[family] = str(error)
    return loaded


def job_types() -> list[JobType]:
    """Return the types of the installed executors, ordered by name; those that cannot be loaded are left out."""
    found: list[JobType] = []
    for family, point in sorted(families().items()):
        try:
            executor = _class_of(point)
        except ExecutorUnavailable:
            continue
        names = (executor and executor.types) or (family,)
        found += [JobType(name, executor.payload_model(name) if executor else None) for name in names]
    return found


def installed_executors(settings: Settings) -> Loaded:
    """Load and build all executors without a database, to inspect them; they cannot run jobs."""
    return load_executors(ExecutorContext.offline(settings))


def left_to_others(settings: Settings) -> dict[str, str]:
    """Return the families whose jobs this machine leaves to other workers, each with the reason."""
    loaded = installed_executors(settings)
    unset = {
        family: f"Jobs of the family {family} need {setting}, which is not set."
        for family, setting in loaded.lacking.items()
    }
    return unset | loaded.broken


def takes(type: str) -> bool:
    """Return whether an installed executor runs jobs of a type; one that names no types runs all of its family."""
    family = family_of(type)
    point = families().get(family)
    if point is None or type == family:
        return point is not None
    try:
        executor = _class_of(point)
    except ExecutorUnavailable:
        return True
    return not (executor and executor.types) or type in executor.types


class PayloadValidator:
    """Validates payloads with the executors of their types, which are not started.

    The installed executors are searched once, since that takes milliseconds.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._families = families()
        self._executors: dict[str, type[Executor] | Executor] = {}

    def validated(self, type: str, payload: Json) -> dict[str, Json]:
        """Return the payload as it will be stored.

        Raises:
            InvalidPayload: The payload is invalid, or no executor is installed for the type.
        """
        executor = self._executor(type)
        if isinstance(executor, LegacyExecutor):
            return executor.checked(type, payload)
        return executor.validate(type, payload, self._settings)

    def check_of(self, type: str) -> Callable[[Json], dict[str, Json]]:
        """Return the function that validates payloads of a type, for many of them.

        Raises:
            InvalidPayload: No executor is installed for the type.
        """
        executor = self._executor(type)
        if isinstance(executor, LegacyExecutor):
            return lambda payload: executor.checked(type, payload)
        return executor.validator(type, self._settings)

    def _executor(self, type: str) -> "type[Executor] | Executor":
        family = family_of(type)
        if (executor := self._executors.get(family)) is not None:
            return executor
        point = self._families.get(family)
        if point is None:
            known = ", ".join(sorted(self._families))
            raise InvalidPayload(
                f"No executor is installed for jobs of type {type!r}: use one of {known}, or install one."
            )
        try:
            executor = _class_of(point) or _built(point, ExecutorContext.offline(self._settings))
        except ExecutorUnavailable as error:
            raise InvalidPayload(f"The payload cannot be validated. {error}") from error
        self._executors[family] = executor
        return executor


def validate_payload(type: str, payload: Json, settings: Settings) -> dict[str, Json]:
    """Validate one payload; see `PayloadValidator`."""
    return PayloadValidator(settings).validated(type, payload)


@lru_cache(maxsize=1)
def _families_in(searched: tuple[tuple[str, int], ...]) -> Mapping[str, EntryPoint]:  # noqa: ARG001 - the cache's key
    return MappingProxyType({point.name: point for point in entry_points(group=GROUP)})


def _modified_at(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _class_of(point: EntryPoint) -> type[Executor] | None:
    """Return the class that an entry point names, or None if it names a function.

    Raises:
        ExecutorUnavailable: The entry point cannot be loaded.
    """
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        raise _unavailable(point, error) from error
    return found if isinstance(found, type) and issubclass(found, Executor) else None


def _built(point: EntryPoint, context: ExecutorContext) -> Executor:
    executor = _class_of(point)
    try:
        built = LegacyExecutor.of(point.load(), context) if executor is None else executor.build(context)
        _check(built, point.name)
    except ExecutorUnavailable:
        raise  # its message states what to do
    except (Exception, SystemExit) as error:
        raise _unavailable(point, error) from error
    return built


def _check(executor: Executor, family: str) -> None:
    if executor.family != family:
        raise TypeError(f"its family is {executor.family!r}")
    _ = executor.lacks  # a property may raise


def _unavailable(point: EntryPoint, error: BaseException) -> ExecutorUnavailable:
    reason = f"{type(error).__name__}: {_error_text(error)}"
    return ExecutorUnavailable(f"The executor {point.name} ({point.value}) cannot be loaded: {reason}.")


def _error_text(error: BaseException) -> str:
    try:
        return str(error).strip().split("\n", 1)[0].rstrip(".")[:500] or "no error message"
    except Exception:  # noqa: BLE001 - the __str__ of a third-party exception may raise
        return "the error message cannot be read"
