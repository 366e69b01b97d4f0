"""The run of one kind of input: generated cases, their number, and the findings."""

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
"""Cases of one run of Hypothesis, which becomes slower as its memory grows."""
_SHOWN: Final = 6_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Resources for the cases.

    Attributes:
        folder: For files.
        database: Returns the URL of a migrated, empty database, as its owner; created at the first call.
    """

    folder: Path
    database: Callable[[], str]

    @property
    def dsn(self) -> str:
        """The URL of the database."""
        return self.database()


@dataclass
class Trial:
    """The run of one kind.

    Attributes:
        cases: Number of cases to run.
        number: Seed of the generated values; the same number gives the same values.
        watched: Entered around each case; raises in a case that hangs.
        tried: Number of cases that were run.
        findings: Exceptions of cases, with the case.
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
        """Run values through a check; an exception is a finding with a minimal value, and ends this call.

        Args:
            share: Share of all cases.
            weight: Number of cases that a value counts for.
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
            self.findings.append(failed[-1] if failed else _report(error))
            return False
        return True

    @contextmanager
    def _noting(self, failed: list[str], value: object) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if not isinstance(error, UnsatisfiedAssumption | StopTest):
                failed.append(f"{_shown(value)}\n{_report(error)}")  # Hypothesis' own report fails with deep nesting
            raise


def _report(error: BaseException) -> str:
    where = "".join(traceback.format_tb(error.__traceback__)[-4:])
    return f"{''.join(traceback.format_exception_only(error))[:_SHOWN]}{where[-_SHOWN:]}"


def _shown(value: object) -> str:
    try:
        return repr(value)[:_SHOWN]
    except Exception as error:  # noqa: BLE001 - the value itself may raise
        return f"a value without a text: {type(error).__name__}"


Kind = Callable[[Trial], None]
"""Runs one kind of input."""

Kinds = Mapping[str, tuple[Kind, int]]
"""By name, with the share of 100,000 cases."""
