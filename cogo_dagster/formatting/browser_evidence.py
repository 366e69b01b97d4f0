"""The record of one browser attempt: its timed steps, and what went wrong on its page.

Every attempt has one: a successful attempt in its result, a failed attempt in its artifact `evidence.json`. Writers use
`model_dump(mode="json", exclude_none=True)`.
"""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from cogo_dagster.formatting.values import counted
from cogo_dagster.text import load_json

FILE_NAME: Final = "evidence.json"


class TimedStep(BaseModel):
    """A step of an attempt.

    Attributes:
        step: What was done, such as `click #go`.
        error: Why it failed; None if it succeeded.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    duration_ms: int
    error: str | None = None


class FailedRequest(BaseModel):
    """A request of the page that failed.

    Attributes:
        url: Its URL, or only host:port if the host could not be reached.
    """

    model_config = ConfigDict(frozen=True)

    url: str
    reason: str


class BrowserEvidence(BaseModel):
    """The record of one attempt. Lists have the latest entries only.

    Attributes:
        steps: In the order in which they were done.
        notes: What the page did that the job does not handle, and why files are incomplete.
        refused: Why hosts that the page requested were blocked.
        console_errors: Texts that the page logged with the level error.
        page_errors: Exceptions that the page did not catch.
        missing: Why a file of a failed attempt does not exist, by its name.
    """

    model_config = ConfigDict(frozen=True)

    steps: tuple[TimedStep, ...]
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    console_errors: tuple[str, ...] = ()
    page_errors: tuple[str, ...] = ()
    failed_requests: tuple[FailedRequest, ...] = ()
    missing: Mapping[str, str] = {}

    @classmethod
    def read(cls, document: object) -> Self | None:
        """Return the record in a job's result or in the content of `evidence.json`; None if there is none."""
        try:
            return cls.model_validate(load_json(document) if isinstance(document, str | bytes) else document)
        except (ValidationError, ValueError):
            return None

    @property
    def duration_ms(self) -> int:
        """The time of all steps."""
        return sum(step.duration_ms for step in self.steps)

    @property
    def failed_step(self) -> TimedStep | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.error is not None), None)

    @property
    def slowest_step(self) -> TimedStep | None:
        """The step that took the longest."""
        return max(self.steps, key=lambda step: step.duration_ms, default=None)

    @property
    def counts(self) -> dict[str, int]:
        """The number of recorded problems by kind, without kinds that have none."""
        lists = {
            "console error": self.console_errors,
            "page error": self.page_errors,
            "failed request": self.failed_requests,
            "blocked host": self.refused,
        }
        return {kind: len(entries) for kind, entries in lists.items() if entries}

    @property
    def summary(self) -> str:
        """One line such as `2 console errors, 1 failed request`; empty if there were no problems."""
        return ", ".join(counted(number, kind) for kind, number in self.counts.items())
