"""A history of jobs and gate runs: inserted into the tables, with numbers computed independently of the SQL."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster_tests.conftest import Owner

ERRORS = (
    ("timeout", "The page did not load."),
    ("dns", "The name does not resolve."),
    ("http_status", "The server answered with an error."),
    ("selector", "Nothing matches the selector."),
)


@dataclass(frozen=True)
class Attempt:
    """An earlier attempt; `ended_job` if the job had failed permanently and was retried."""

    outcome: str
    finished_at: datetime
    error: tuple[str, str] | None = None
    ended_job: bool = False


@dataclass(frozen=True)
class FinishedJob:
    """A finished job; `forced` is a success due to BROWSER_FORCE_SUCCESS."""

    type: str
    status: str
    finished_at: datetime
    attempts: int = 1
    wait_seconds: float = 1.0
    error: tuple[str, str] | None = None
    earlier: tuple[Attempt, ...] = ()
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(frozen=True)
class Run:
    """A gate run."""

    type: str
    status: str
    branch: str
    created_at: datetime
    build_seconds: float | None = None
    test_seconds: float | None = None
    lint_errors: int | None = None
    coverage_percent: float | None = None


@dataclass
class History:
    """Jobs and gate runs."""

    jobs: list[FinishedJob] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def write(self, owner: Owner) -> None:
        """Insert the rows."""
        _insert(owner, "jobs", [_job_row(job) for job in self.jobs])
        _insert(owner, "job_attempts", [_attempt_row(job, a) for job in self.jobs for a in job.earlier])
        _insert(owner, "gate_runs", [_run_row(run) for run in self.runs])

    def numbers(self, start: datetime, end: datetime, branch: str = "main") -> dict[str, Any]:
        """Return the numbers of a window that `gate_summary` should return."""
        jobs = [job for job in self.jobs if start <= job.finished_at < end]
        earlier = [(job, a) for job in self.jobs for a in job.earlier if start <= a.finished_at < end]
        runs = [run for run in self.runs if start <= run.created_at < end]
        ours = sorted(
            (run for run in runs if run.type == "gate" and run.branch == branch), key=lambda run: run.created_at
        )
        return {
            "gate": _counts(ours),
            "gate_fix": _counts([run for run in runs if run.type == "gate_fix"]),
            "build_seconds": quantiles(run.build_seconds for run in ours),
            "test_seconds": quantiles(run.test_seconds for run in ours),
            "lint_errors": next((r.lint_errors for r in reversed(ours) if r.lint_errors is not None), None),
            "coverage_percent": next(
                (r.coverage_percent for r in reversed(ours) if r.coverage_percent is not None), None
            ),
            "jobs": _job_numbers(jobs, earlier),
            "top_failures": _top_failures(jobs, earlier),
        }


def shape(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a `gate_summary` document that corresponds to `History.numbers`."""
    jobs = {name: value for name, value in numbers["jobs"].items() if name != "by_type"}
    failures = [(f["fingerprint"], f["error_class"], f["message"], f["count"]) for f in numbers["top_failures"]]
    same = ("gate", "gate_fix", "build_seconds", "test_seconds", "coverage_percent")
    kept = {name: numbers[name] for name in same}
    return kept | {"lint_errors": numbers["lint"]["errors"], "jobs": jobs, "top_failures": failures}


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Return whether two sets of numbers are equal; times may differ by a millisecond due to rounding."""
    return _flat(found) == pytest.approx(_flat(expected), abs=0.0015, nan_ok=True)


def _flat(numbers: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in numbers.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = float("nan") if value is None else repr(value) if isinstance(value, list) else value
    return flat


def quantiles(values: Iterable[float | None]) -> dict[str, float | None]:
    """Return the median and 95th percentile, linearly interpolated and rounded to milliseconds."""
    ordered = sorted(value for value in values if value is not None)
    return {name: _quantile(ordered, share) for name, share in (("p50", 0.5), ("p95", 0.95))}


def a_month(first_day: datetime, days: int = 30, seed: int = 1) -> History:
    """Return a month of jobs and gate runs with failures, retries and a week with a low pass rate."""
    chance = random.Random(seed)
    history = History()
    for day in range(days):
        midnight = first_day + timedelta(days=day)
        for _ in range(chance.randint(20, 60)):
            history.jobs.append(_some_job(chance, midnight + timedelta(seconds=chance.randrange(86_400))))
        for _ in range(chance.randint(4, 14)):
            history.runs.append(_some_run(chance, midnight + timedelta(seconds=chance.randrange(86_400)), day))
    return history


def _some_job(chance: random.Random, at: datetime) -> FinishedJob:
    kind = chance.choice(("browser", "browser", "browser.pdf", "figma"))
    status = chance.choices(("succeeded", "failed", "cancelled", "forced"), (90, 6, 2, 2))[0]
    retries = chance.choices((0, 1, 2), (85, 12, 3))[0]
    earlier = tuple(
        Attempt(
            chance.choice(("failed", "failed", "lost")),
            at - timedelta(minutes=5 * (retries - i)),
            chance.choice(ERRORS),
        )
        for i in range(retries)
    )
    error = chance.choice(ERRORS) if status == "failed" else None
    return FinishedJob(kind, status, at, retries + 1, round(chance.expovariate(0.5), 3), error, earlier)


def _some_run(chance: random.Random, at: datetime, day: int) -> Run:
    rate = 0.55 if 10 <= day < 17 else 0.85
    return Run(
        type=chance.choices(("gate", "gate_fix"), (85, 15))[0],
        status="pass" if chance.random() < rate else "fail",
        branch=chance.choices(("main", "feature/x"), (85, 15))[0],
        created_at=at,
        build_seconds=round(chance.uniform(40, 90) + day, 2),
        test_seconds=round(chance.uniform(90, 200), 2),
        lint_errors=chance.randrange(5),
        coverage_percent=round(min(99, 78 + day / 3 + chance.random()), 2),
    )


def _counts(runs: Sequence[Run]) -> dict[str, Any]:
    passed = sum(run.status == "pass" for run in runs)
    return {"runs": len(runs), "passed": passed, "failed": len(runs) - passed, "pass_rate": _rate(passed, len(runs))}


def _job_numbers(jobs: Sequence[FinishedJob], earlier: Sequence[tuple[FinishedJob, Attempt]]) -> dict[str, Any]:
    ended = Counter(job.status for job in jobs)
    failed = ended["failed"] + sum(a.ended_job for _, a in earlier)
    first = sum(job.status == "succeeded" and job.attempts == 1 for job in jobs)
    return {
        "succeeded": ended["succeeded"],
        "failed": failed,
        "cancelled": ended["cancelled"],
        "forced": ended["forced"],
        "success_rate": _rate(ended["succeeded"], ended["succeeded"] + failed),
        "first_try_rate": _rate(first, ended["succeeded"] + failed),
        "attempts": len(jobs) + len(earlier),
        "retried": sum(a.outcome == "failed" and not a.ended_job for _, a in earlier),
        "lost": sum(a.outcome == "lost" for _, a in earlier),
        "queue_wait_seconds": quantiles(
            _three_digits(j.wait_seconds) for j in jobs if j.status in ("succeeded", "forced")
        ),
    }


def _top_failures(
    jobs: Sequence[FinishedJob], earlier: Sequence[tuple[FinishedJob, Attempt]]
) -> list[tuple[str, str, str, int]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for job in jobs:
        if job.status == "failed" and job.error:
            counts[(job.type.partition(".")[0], *job.error)] += 1
    for job, attempt in earlier:
        if attempt.outcome in ("failed", "lost") and attempt.error:
            counts[(job.type.partition(".")[0], *attempt.error)] += 1
    rows = [
        (hashlib.md5("\n".join(cause).encode()).hexdigest()[:16], cause[1], cause[2], n) for cause, n in counts.items()
    ]
    return sorted(rows, key=lambda row: (-row[3], row[0]))[:5]


def _rate(part: int, whole: int) -> float | None:
    return round(100 * part / whole + 1e-9, 2) if whole else None


def _three_digits(seconds: float) -> float:
    """Return a wait as it is counted: in whole milliseconds, rounded to the first three digits."""
    milliseconds = seconds * 1000
    unit = int(10.0 ** max(len(str(int(milliseconds))) - 3, 0))
    return int(milliseconds / unit + 0.5) * unit / 1000


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (place - low) * (ordered[high] - ordered[low]), 3)


def _error(error: tuple[str, str] | None) -> dict[str, str] | None:
    return {"class": error[0], "message": error[1]} if error else None


def _job_row(job: FinishedJob) -> dict[str, Any]:
    started_at = job.finished_at - timedelta(seconds=3)
    return {
        "id": job.id,
        "type": job.type,
        "status": "succeeded" if job.status == "forced" else job.status,
        "attempts": job.attempts,
        "finished_at": job.finished_at,
        "created_at": started_at - timedelta(days=1),
        "next_run_at": started_at - timedelta(seconds=job.wait_seconds),
        "claimed_at": started_at,
        "started_at": started_at,
        "lease_token": str(uuid4()),
        "result": {"forced": True} if job.status == "forced" else {"title": "Example"},
        "error": _error(job.error),
    }


def _attempt_row(job: FinishedJob, attempt: Attempt) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "lease_token": str(uuid4()),
        "attempt": 1,
        "outcome": attempt.outcome,
        "finished_at": attempt.finished_at,
        "ended_job": attempt.ended_job,
        "error": _error(attempt.error),
    }


def _run_row(run: Run) -> dict[str, Any]:
    return {"id": str(uuid4()), "commit_sha": uuid4().hex, **vars(run)}


def _insert(owner: Owner, table: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        names = ", ".join(rows[0])
        source = f"jsonb_populate_recordset(null::public.{table}, %s)"
        statement = f"insert into public.{table} ({names}) select {names} from {source}"
        owner.execute(statement.encode(), (json.dumps(rows, default=str),))
