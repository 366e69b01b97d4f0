"""What must hold after a run, whatever happened in it; each check yields a sentence for each violation."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

from cogo_dagster.queue.artifacts import ArtifactStoreError
from cogo_dagster_tests.chaos.effects import Effect, read_effects
from cogo_dagster_tests.chaos.world import World

Check = Callable[[World, Sequence[Effect], set[UUID]], Iterator[str]]

_SQL: Final[dict[str, LiteralString]] = {
    "A job is neither ended nor deleted after the drain": """
        select id, status, attempts, error from public.jobs where status in ('queued', 'running')""",
    "A job has more attempts than it may have": """
        select job_id, attempts, max_attempts from chaos.audit where attempts > max_attempts""",
    "A transition that is not in the table of transitions": """
        select job_id, old_status, status, old_attempts, attempts from chaos.audit
        where old_status is not null and status is not null and (old_status, status) not in (
            ('queued', 'running'), ('running', 'queued'), ('running', 'succeeded'), ('running', 'failed'),
            ('running', 'cancelled'), ('queued', 'cancelled'), ('failed', 'queued'))""",
    "A job began in another state than queued": """
        select job_id, status from chaos.audit where old_status is null and status <> 'queued'""",
    "A job that had not ended was deleted": """
        select job_id, old_status from chaos.audit where status is null
        and old_status not in ('succeeded', 'failed', 'cancelled')""",
    "A claim did not count one attempt": """
        select job_id, old_attempts, attempts from chaos.audit
        where status = 'running' and old_status = 'queued' and attempts <> old_attempts + 1""",
    "An attempt was counted or given back by something else": """
        select job_id, old_status, status, old_attempts, attempts from chaos.audit
        where not (old_status = 'queued' and status = 'running') and (
            attempts > old_attempts or attempts < old_attempts - 1 and old_status = 'running'
            or attempts < old_attempts and status <> 'queued')""",
    "A token was used for two claims of one job": """
        select job_id, token, count(*) from chaos.audit where status = 'running' and old_status = 'queued'
        group by job_id, token having count(*) > 1""",
    "A job succeeded with another token than that of its attempt": """
        select job_id, old_token, token from chaos.audit
        where status = 'succeeded' and token is distinct from old_token""",
    "An attempt left no row": """
        select a.job_id, a.old_token from chaos.audit a join public.jobs j on j.id = a.job_id
        where a.old_status = 'running' and a.status = 'queued' and not exists (
            select from public.job_attempts t where t.job_id = a.job_id and t.lease_token = a.old_token)""",
    "A running job has no lease, or another has one": """
        select id, status, lease_expires_at from public.jobs
        where (status = 'running') <> (lease_expires_at is not null)""",
    "A failed job has no open letter": """
        select j.id from public.jobs j where j.status = 'failed' and not exists (
            select from public.jobs_dlq d where d.job_id = j.id and not d.superseded and d.closed_at is null)""",
    "A job has an open letter and has not failed": """
        select j.id, j.status from public.jobs j join public.jobs_dlq d on d.job_id = j.id
        where j.status <> 'failed' and not d.superseded and d.closed_at is null and d.replayed_at is null""",
    "A job has two letters": """
        select job_id, count(*) from public.jobs_dlq where not superseded group by job_id having count(*) > 1""",
    "A letter was replayed into two jobs": """
        select idempotency_key, count(distinct job_id) from chaos.audit
        where old_status is null and idempotency_key like 'dlq:%' group by 1 having count(distinct job_id) > 1""",
    "A replayed letter has no job": """
        select d.job_id from public.jobs_dlq d where d.replayed_at is not null and not exists (
            select from chaos.audit a where a.idempotency_key = 'dlq:' || d.job_id and a.old_status is null)""",
    "A file of a lost attempt is ready": """
        select f.id, f.job_id from public.artifacts f join public.job_attempts t
        on t.job_id = f.job_id and t.lease_token = f.lease_token where f.status = 'ready' and t.outcome in ('lost')""",
    "A file of an attempt that is not the winning one is ready beside a success": """
        select f.id, f.job_id from public.artifacts f join public.jobs j on j.id = f.job_id
        where f.status = 'ready' and j.status = 'succeeded' and f.lease_token <> j.lease_token
        and not exists (select from public.job_attempts t where t.job_id = f.job_id
            and t.lease_token = f.lease_token and t.outcome in ('failed', 'snoozed', 'succeeded'))""",
    "A file is neither ready nor swept": """
        select id, status, job_id from public.artifacts where status in ('pending', 'orphaned')""",
    "The workers counted more successes than there are": """
        select counted, seen from
        (select sum((counters ->> 'succeeded')::bigint) as counted from public.worker_metrics) c,
        (select count(*) as seen from chaos.audit where status = 'succeeded' and old_status = 'running') s
        where counted > seen""",
    "The workers counted more claims than there are": """
        select counted, seen from
        (select sum((counters ->> 'claimed')::bigint) as counted from public.worker_metrics) c,
        (select count(*) as seen from chaos.audit where status = 'running') s where counted > seen""",
    "A job failed for an error that is no job's": """
        select job_id, error_class from chaos.audit where status = 'failed' and error_class ~ 'unstorable|QueueError'
        and error_class <> 'unstorable_result'""",
}

_EXCUSED: Final = ("lease_expired", "artifact_upload", "store_unavailable")
"""How an attempt may end whose executor succeeded: its lease was lost, or its files could not be stored."""


def violations(world: World, enqueued: set[UUID]) -> list[str]:
    """Return everything that does not hold."""
    found = [
        f"{sentence}: {row}"
        for sentence, statement in _SQL.items()
        for row in world.owner.execute(statement).fetchall()
    ]
    effects = read_effects(world.effects)
    for check in (_kept_jobs, _true_successes, _kept_successes, _whole_files, _all_files, _no_other_objects):
        found += check(world, effects, enqueued)
    return found


def _kept_jobs(world: World, _: Sequence[Effect], enqueued: set[UUID]) -> Iterator[str]:
    began = {row[0] for row in world.owner.execute("select job_id from chaos.audit where old_status is null")}
    yield from (f"Job {job_id} was enqueued and was never in the table." for job_id in enqueued - began)


def _true_successes(world: World, effects: Sequence[Effect], _: set[UUID]) -> Iterator[str]:
    ended = {(effect.job_id, effect.token) for effect in effects if effect.kind != "begin"}
    rows = world.owner.execute(
        "select job_id, token from chaos.audit where status = 'succeeded' and old_status = 'running'"
    ).fetchall()
    yield from (
        f"Job {job} succeeded with token {token}, whose execution did not."
        for job, token in rows
        if (job, token) not in ended
    )


def _kept_successes(world: World, effects: Sequence[Effect], _: set[UUID]) -> Iterator[str]:
    exits = {
        (row[0], row[1]): row
        for row in world.owner.execute(
            "select job_id, old_token, status, old_attempts, attempts, cancel_requested, error_class"
            " from chaos.audit where old_status = 'running'"
        )
    }
    for effect in effects:
        if effect.kind != "end":
            continue
        row = exits.get((effect.job_id, effect.token))
        if row is None:
            yield f"Job {effect.job_id}: the execution with token {effect.token} succeeded, its attempt never ended."
        elif not _is_kept(*row[2:]):
            yield f"Job {row[0]}: the execution with token {row[1]} succeeded, but its attempt ended as {row[2:]}."


def _is_kept(status: str, before: int, after: int, cancel_requested: bool, error_class: str | None) -> bool:
    if status == "succeeded" or (status == "cancelled" and cancel_requested):
        return True
    return error_class in _EXCUSED or (status == "queued" and after < before)


def _whole_files(world: World, _: Sequence[Effect], __: set[UUID]) -> Iterator[str]:
    rows = world.owner.execute(
        "select id, job_id, storage_key, sha256, size_bytes from public.artifacts where status = 'ready'"
    ).fetchall()
    for artifact_id, job_id, key, sha256, size_bytes in rows:
        try:
            with world.store.open(key) as read:
                content = read.read()
        except ArtifactStoreError as error:
            yield f"The ready artifact {artifact_id} of job {job_id} has no object: {error}"
            continue
        if (hashlib.sha256(content).hexdigest(), len(content)) != (sha256, size_bytes):
            yield f"The object of artifact {artifact_id} is not what its row says."


def _all_files(world: World, effects: Sequence[Effect], _: set[UUID]) -> Iterator[str]:
    left: dict[Any, int] = {(effect.job_id, effect.token): effect.files for effect in effects if effect.kind == "end"}
    rows = world.owner.execute(
        "select j.id, j.lease_token, count(f.id) from public.jobs j left join ("
        " select id, job_id, lease_token from public.artifacts where status = 'ready'"
        " union select artifact_id, job_id, token from chaos.cleaned"
        ") f on f.job_id = j.id and f.lease_token = j.lease_token"
        " where j.status = 'succeeded' group by j.id, j.lease_token"
    ).fetchall()
    for job_id, token, count in rows:
        if count != left.get((job_id, token), count):
            yield f"Job {job_id} succeeded with {left[job_id, token]} files, of which {count} are there."


def _no_other_objects(world: World, _: Sequence[Effect], __: set[UUID]) -> Iterator[str]:
    known = {row[0] for row in world.owner.execute("select storage_key from public.artifacts").fetchall()}
    yield from (f"The object {key} has no row." for key in world.store.keys(-3_600) if key not in known)
