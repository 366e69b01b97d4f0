"""How a kind of input is tried: so many generated cases, counted, and what was found."""

import random
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import StopTest, Unsatisfiable, UnsatisfiedAssumption
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

_CHUNK: Final = 1_000
"""Cases of one run of Hypothesis: it becomes slower as it remembers more."""
_SHOWN: Final = 6_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the cases may use.

    Attributes:
        folder: Files go there.
        database: Returns the URL of a migrated, empty database, as its owner; made when first asked for.
    """

    folder: Path
    database: Callable[[], str]

    @property
    def dsn(self) -> str:
        """The database."""
        return self.database()


@dataclass
class Trial:
    """One kind being tried.

    Attributes:
        cases: How many to try.
        number: Seed of the generated values; the same number gives the same values.
        watched: Entered around each case; it raises in a case that hangs.
        tried: How many were tried.
        findings: What a case raised, with the case.
    """

    surroundings: Surroundings
    cases: int
    number: int = 0
    watched: Callable[[], AbstractContextManager[None]] = nullcontext
    tried: int = 0
    findings: list[str] = field(default_factory=list)

    def each(
        self,
        values: SearchStrategy[T],
        check: Callable[[T], None],
        *,
        share: float = 1,
        weight: Callable[[T], int] = lambda _: 1,
    ) -> None:
        """Try values; what the check raises is a finding, made as small as possible, and ends this call.

        Args:
            share: So much of all cases.
            weight: How many cases a value counts for.
        """
        end = self.tried + max(round(self.cases * share), 1)
        for chunk in range(self.cases):
            left = end - self.tried
            before = self.tried
            if left <= 0 or not self._chunk(values, check, min(left, _CHUNK), chunk, weight) or self.tried == before:
                return

    def _chunk(
        self, values: SearchStrategy[T], check: Callable[[T], None], cases: int, chunk: int, weight: Callable[[T], int]
    ) -> bool:
        budget = self.tried + cases

        @settings(
            max_examples=cases,
            phases=(Phase.generate, Phase.shrink),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @seed(random.Random(f"{self.number} {chunk}").getrandbits(64))
        @given(values)
        def case(value: T) -> None:
            if self.tried >= budget and not failed:
                return
            with self._noting(failed, value), self.watched():
                check(value)
            if not failed:
                self.tried += weight(value)

        failed: list[str] = []
        try:
            case()
        except Unsatisfiable:
            return False
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.findings.append(failed[-1] if failed else _told(error))
            return False
        return True

    @contextmanager
    def _noting(self, failed: list[str], value: object) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if not isinstance(error, UnsatisfiedAssumption | StopTest):
                failed.append(f"{_shown(value)}\n{_told(error)}")  # Hypothesis' own report fails at deep nests
            raise


def _told(error: BaseException) -> str:
    where = "".join(traceback.format_tb(error.__traceback__)[-4:])
    return f"{''.join(traceback.format_exception_only(error))[:_SHOWN]}{where[-_SHOWN:]}"


def _shown(value: object) -> str:
    try:
        return repr(value)[:_SHOWN]
    except Exception as error:  # noqa: BLE001 - the value is what is wrong
        return f"a value without a text: {type(error).__name__}"


Kind = Callable[[Trial], None]
"""Tries one kind of input."""

Kinds = Mapping[str, tuple[Kind, int]]
"""By name, with how many of 100,000 cases are of it."""
