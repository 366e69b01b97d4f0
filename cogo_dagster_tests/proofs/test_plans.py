"""The cost of a call does not grow with the table: 20,000 or 100,000 jobs, both versions, both plan cache modes.

Plans and blocks are measured by auto_explain and not times, so the results are the same on a loaded machine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster_tests.proofs.backlogs import BACKLOGS, DUE, RUNNING, fill
from cogo_dagster_tests.proofs.plans import Explained, Explainer, open_explainer
from cogo_dagster_tests.servers import Major, TestServer

BATCH = 50

PROBES = 200
"""Maximum blocks to find a lane's first job: ten priorities, two addresses, some families, three levels."""

WRITES = 40
"""Maximum blocks to change one job, including its indexes, its superseded attempt and its DLQ row."""

CASES: list[tuple[Major, int, str]] = [
    *((15, 20_000, kind) for kind in BACKLOGS),
    (15, 100_000, "mixed"),
    (18, 20_000, "mixed"),
    *((18, 100_000, kind) for kind in BACKLOGS),
]
"""Each version with each backlog and with each number of jobs, of which the limits do not depend."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """A database with one backlog.

    Attributes:
        held: IDs and lease tokens of the running jobs.
    """

    kind: str
    explainer: Explainer
    held: list[dict[str, Json]]

    def claim(self, *families: str, executor_id: str | None = None) -> list[Explained]:
        """Explain a claim."""
        requests = [{"family": family, "max_jobs": BATCH} for family in families]
        return self.explainer.call(
            "claim_jobs",
            claim_id=str(uuid4()),
            families=requests,
            worker_id="w",
            executor_id=executor_id,
            max_jobs=BATCH,
        )


@pytest.fixture(
    scope="module",
    params=CASES,
    ids=lambda param: f"pg{param[0]}-{param[1] // 1000}k-{param[2]}",
)
def backlog(request: pytest.FixtureRequest, servers: Callable[[Major], TestServer]) -> Iterator[Backlog]:
    """Fill a database for the tests of this module."""
    major, rows, kind = request.param
    with servers(major).clone("migrated") as dsn:
        fill(dsn, kind, rows)
        with psycopg.connect(dsn, autocommit=True) as owner:
            held = owner.execute("select id::text, lease_token::text from public.jobs where status = 'running'")
            leases = [{"job_id": job_id, "lease_token": token} for job_id, token in held.fetchall()]
        with open_explainer(dsn) as explainer:
            yield Backlog(kind, explainer, leases)


def test_a_claim_reads_only_the_rows_it_claims(backlog: Backlog) -> None:
    """Other lanes do not matter: a batch is read in the order of the lane's index."""
    for claim in backlog.claim("quick"):
        assert len(claim.answer["jobs"]) == BATCH
        assert_by_index(claim, {"jobs_claim_lane", "jobs_pkey", "jobs_lease"})
        assert_reads(claim, "jobs_claim_lane", BATCH + 1)
        assert claim.blocks <= PROBES + (WRITES * BATCH)
        assert claim.sorts_of("jobs_claim_lane") == []


def test_a_claim_of_the_backlog_reads_only_the_rows_it_claims(backlog: Backlog) -> None:
    """Scheduled, addressed and finished jobs are not read; due ones are up to the batch size."""
    expected = BATCH if backlog.kind == "mixed" else 0
    for claim in backlog.claim("browser", "figma", executor_id="mine"):
        assert len(claim.answer["jobs"]) == expected
        assert_by_index(claim, {"jobs_claim_lane", "jobs_pkey", "jobs_lease"})
        assert_reads(claim, "jobs_claim_lane", expected + 1)
        assert claim.blocks <= PROBES + (WRITES * expected)
        assert claim.sorts_of("jobs_claim_lane") == []


def test_an_addressed_claim_reads_only_the_rows_it_claims(backlog: Backlog) -> None:
    """The executor of the backlog gets its batch in the order of its lane."""
    expected = BATCH if backlog.kind in ("mixed", "elsewhere") else 0
    for claim in backlog.claim("browser", executor_id="elsewhere"):
        assert len(claim.answer["jobs"]) == expected
        assert_by_index(claim, {"jobs_claim_lane", "jobs_pkey", "jobs_lease"})
        assert_reads(claim, "jobs_claim_lane", expected + 1)
        assert claim.blocks <= PROBES + (WRITES * expected)


def test_the_next_due_job_is_found_by_probes(backlog: Backlog) -> None:
    """At most one row per family, priority and address is read, however many jobs are scheduled."""
    arguments = {"families": ["browser", "figma"], "executor_id": "mine"}
    for call in backlog.explainer.call("next_due", **arguments):
        assert_by_index(call, {"jobs_claim_lane"})
        assert_reads(call, "jobs_claim_lane", 2 * 10 * 2)
        assert call.blocks <= PROBES


def test_the_first_job_of_any_family_is_found_by_probes(backlog: Backlog) -> None:
    """The call of older workers reads the first job of each priority of each family, and claims one."""
    for claim in backlog.explainer.call("claim_one_job", executor_id="mine", worker_id="w"):
        assert claim.answer["attempts"] == 1
        assert_by_index(claim, {"jobs_claim_lane", "jobs_pkey", "jobs_lease"})
        assert_reads(claim, "jobs_claim_lane", 100)
        assert claim.blocks <= 3 * PROBES


def test_settling_reads_only_its_jobs(backlog: Backlog) -> None:
    """All outcomes of a batch use the primary key: once to update, once for the result."""
    outcomes = ["succeeded", "failed", "snoozed", "requeued", "cancelled"] * (BATCH // 5)
    settlements = [lease | {"outcome": o} for lease, o in zip(backlog.held[:BATCH], outcomes, strict=True)]
    for settled in backlog.explainer.call("settle_jobs", settlements=settlements):
        assert settled.answer["statuses"] == ["ok"] * BATCH
        assert_by_index(settled, {"jobs_pkey"})
        assert_reads(settled, "jobs_pkey", 2 * BATCH)
        assert settled.blocks <= PROBES + (WRITES * BATCH)


def test_renewing_reads_only_its_leases(backlog: Backlog) -> None:
    """It uses the primary key: once to lock, once to extend, once for the result."""
    for renewed in backlog.explainer.call("renew_leases", leases=backlog.held[:BATCH]):
        assert renewed.answer["statuses"] == ["ok"] * BATCH
        assert_by_index(renewed, {"jobs_pkey"})
        assert_reads(renewed, "jobs_pkey", 3 * BATCH)
        assert renewed.blocks <= PROBES + (WRITES * BATCH)


def test_recovery_reads_running_jobs_only(backlog: Backlog) -> None:
    """Queued and finished jobs are not read."""
    for recovered in backlog.explainer.call("recover_leases", batch_size=BATCH):
        assert recovered.answer["requeued"] == BATCH
        assert_by_index(recovered, {"jobs_lease", "jobs_pkey"})
        assert_reads(recovered, "jobs_lease", RUNNING)
        assert_reads(recovered, "jobs_pkey", BATCH)
        assert recovered.blocks <= RUNNING + (WRITES * BATCH)


def test_a_purge_reads_only_the_rows_it_deletes(backlog: Backlog) -> None:
    """It reads the index of finished jobs, oldest first; queued and running jobs are not read."""
    purge = {"older_than_days": 20, "statuses": ["succeeded", "failed"], "dry_run": False, "batch_size": BATCH}
    for purged in backlog.explainer.call("purge_jobs", **purge):
        assert purged.answer["changed"] == (BATCH if backlog.kind == "finished" else 0)
        assert_by_index(purged, {"jobs_succeeded", "jobs_unsuccessful_finished", "jobs_pkey"})
        assert_reads(purged, "jobs_succeeded", BATCH + 1)
        assert_reads(purged, "jobs_unsuccessful_finished", BATCH + 1)
        assert purged.blocks <= PROBES + (WRITES * BATCH)


def test_the_newest_jobs_are_listed_from_the_end_of_the_index(backlog: Backlog) -> None:
    """Only the rows of the page are read."""
    for listed in backlog.explainer.call("list_jobs", max_jobs=BATCH):
        assert len(listed.answer) == BATCH
        assert_page_by_key(listed)
        assert listed.blocks <= PROBES


def test_counting_stops_at_its_limit(backlog: Backlog) -> None:
    """There are six families with ten priorities each, and no more rows than the limit are read from any."""
    for numbers in backlog.explainer.call("queue_stats", count_limit=20):
        assert numbers.answer["ready_by_family"]["quick"] == DUE
        assert (numbers.answer["running"], numbers.answer["expired_leases"]) == (RUNNING, RUNNING // 10)
        by = {
            "jobs_claim_lane",
            "jobs_lease",
            "jobs_succeeded",
            "jobs_unsuccessful_finished",
            "jobs_unsuccessful_listed",
        }
        assert_by_index(numbers, by)
        assert_reads(numbers, "jobs_claim_lane", 6 * 10 * 20)
        assert_reads(numbers, "jobs_lease", 3 * RUNNING)
        assert numbers.sorts_of("jobs_claim_lane") == []


def test_the_reasons_of_the_queue_are_counted_up_to_the_limit(backlog: Backlog) -> None:
    """Of each priority of a lane, no more rows than the limit are read: due ones, and those that are not."""
    for reasons in backlog.explainer.call("explain_queue", count_limit=20):
        counted = {reason["family"]: reason["count"] for reason in reasons.answer["reasons"]}
        assert counted["quick"] == DUE
        assert_by_index(reasons, {"jobs_claim_lane", "jobs_lease"})  # the latter has the running jobs only
        assert_reads(reasons, "jobs_claim_lane", 6 * 10 * 20 * 2)
        assert reasons.sorts_of("jobs_claim_lane") == []


def test_queued_jobs_of_a_cause_are_found_by_an_index(backlog: Backlog) -> None:
    """The search behind a reason reads the jobs of its family, whatever else the table holds."""
    filters = {"family": "quick", "conditions": ["due", "unaddressed"]}
    for found in backlog.explainer.call("search_jobs", **filters):
        assert len(found.answer["jobs"]) == 50
        assert found.blocks <= 10 * DUE


def test_one_job_is_read_and_cancelled_by_its_key(backlog: Backlog) -> None:
    """One row is read."""
    job_id = backlog.held[0]["job_id"]
    calls = [
        *backlog.explainer.call("get_jobs", job_ids=[job_id]),
        *backlog.explainer.call("cancel_job", job_id=job_id),
    ]
    for call in calls:
        assert_by_index(call, {"jobs_pkey"})
        assert_reads(call, "jobs_pkey", 1)


def test_a_full_scan_is_detected(backlog: Backlog) -> None:
    """A query without an index scans the whole table, and the assertion fails."""
    for listed in backlog.explainer.call("find_jobs", part="0123456789ab"):
        with pytest.raises(AssertionError, match=f"when {listed.mode}"):
            assert_page_by_key(listed)


def assert_page_by_key(call: Explained) -> None:
    """Check that a page of jobs is read by primary key."""
    assert_by_index(call, {"jobs_pkey"})
    assert_reads(call, "jobs_pkey", BATCH)


def assert_by_index(call: Explained, allowed: set[str]) -> None:
    """Check that every read of jobs, in every plan, uses one of these indexes."""
    for read in call.reads("jobs"):
        indexes = {step.index for step in read.walk() if step.index}
        assert read.kind in ("Index Scan", "Index Only Scan", "Bitmap Heap Scan"), f"{read.kind} when {call.mode}"
        assert indexes, f"a {read.kind} without an index when {call.mode}"
        assert indexes <= allowed, f"{indexes} when {call.mode}"


def assert_reads(call: Explained, index: str, most: int) -> None:
    """Check that no more rows than this are read through an index."""
    reads = [read for read in call.reads("jobs") if index in {step.index for step in read.walk()}]
    assert sum(read.rows for read in reads) < most + 1, f"{[(r.kind, r.rows) for r in reads]} when {call.mode}"
