"""The invariants after a run: each check is a statement that finds violations."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from uuid import UUID

from cogo_dagster.queue.artifacts import ArtifactStore, ArtifactStoreError
from cogo_dagster_tests.chaos.effects import read_effects
from cogo_dagster_tests.chaos.world import Owner

CHECKS: Final[dict[str, str]] = {
    "A job is neither ended nor deleted after the drain": """
        select id, status, attempts, error from public.jobs where status in ('queued', 'running')""",
    "A job has more attempts than its maximum": """
        select job_id, attempts, max_attempts from chaos.audit where attempts > max_attempts""",
    "A transition is not in the table of transitions": """
        select job_id, old_status, status, old_attempts, attempts from chaos.audit
        where old_status is not null and status is not null and (old_status, status) not in (
            ('queued', 'running'), ('running', 'queued'), ('running', 'succeeded'), ('running', 'failed'),
            ('running', 'cancelled'), ('queued', 'cancelled'), ('failed', 'queued'))""",
    "A job began in another status than queued": """
        select job_id, status from chaos.audit where old_status is null and status <> 'queued'""",
    "An unfinished job was deleted": """
        select job_id, old_status from chaos.audit where status is null
        and old_status not in ('succeeded', 'failed', 'cancelled')""",
    "A claim did not count one attempt": """
        select job_id, old_attempts, attempts from chaos.audit
        where status = 'running' and old_status = 'queued' and attempts <> old_attempts + 1""",
    "An attempt was counted or refunded outside a claim or requeue": """
        select job_id, old_status, status, old_attempts, attempts from chaos.audit
        where not (old_status = 'queued' and status = 'running') and (
            attempts > old_attempts or attempts < old_attempts - 1 and old_status = 'running'
            or attempts < old_attempts and status <> 'queued')""",
    "A token was used for two claims of one job": """
        select job_id, token, count(*) from chaos.audit where status = 'running' and old_status = 'queued'
        group by job_id, token having count(*) > 1""",
    "A job succeeded with another token than its attempt's": """
        select job_id, old_token, token from chaos.audit
        where status = 'succeeded' and token is distinct from old_token""",
    "An attempt left no row": """
        select a.job_id, a.old_token from chaos.audit a join public.jobs j on j.id = a.job_id
        where a.old_status = 'running' and a.status = 'queued' and not exists (
            select from public.job_attempts t where t.job_id = a.job_id and t.lease_token = a.old_token)""",
    "A running job has no lease, or another job has one": """
        select id, status, lease_expires_at from public.jobs
        where (status = 'running') <> (lease_expires_at is not null)""",
    "A failed job has no open DLQ row": """
        select j.id from public.jobs j where j.status = 'failed' and not exists (
            select from public.jobs_dlq d where d.job_id = j.id and not d.superseded and d.closed_at is null)""",
    "A job has an open DLQ row and has not failed": """
        select j.id, j.status from public.jobs j join public.jobs_dlq d on d.job_id = j.id
        where j.status <> 'failed' and not d.superseded and d.closed_at is null and d.replayed_at is null""",
    "A job has two DLQ rows": """
        select job_id, count(*) from public.jobs_dlq where not superseded group by job_id having count(*) > 1""",
    "A dead-lettered job was replayed into two jobs": """
        select idempotency_key, count(distinct job_id) from chaos.audit
        where old_status is null and idempotency_key like 'dlq:%' group by 1 having count(distinct job_id) > 1""",
    "A replayed DLQ row has no job": """
        select d.job_id from public.jobs_dlq d where d.replayed_at is not null and not exists (
            select from chaos.audit a where a.idempotency_key = 'dlq:' || d.job_id and a.old_status is null)""",
    "A file of a lost or requeued attempt is ready": """
        select f.id, f.job_id from public.artifacts f join public.job_attempts t
        on t.job_id = f.job_id and t.lease_token = f.lease_token
        where f.status = 'ready' and t.outcome in ('lost', 'released')""",
    "A file of an unsuccessful attempt is ready beside a success": """
        select f.id, f.job_id from public.artifacts f join public.jobs j on j.id = f.job_id
        where f.status = 'ready' and j.status = 'succeeded' and f.lease_token <> j.lease_token
        and not exists (select from public.job_attempts t where t.job_id = f.job_id
            and t.lease_token = f.lease_token and t.outcome in ('failed', 'snoozed', 'succeeded'))""",
    "A file is neither ready nor swept": """
        select id, status, job_id from public.artifacts where status in ('pending', 'orphaned')""",
    "The workers counted more successes than recorded": """
        select counted, seen from
        (select sum((counters ->> 'succeeded')::bigint) as counted from public.worker_metrics) c,
        (select count(*) as seen from chaos.audit where status = 'succeeded' and old_status = 'running') s
        where counted > seen""",
    "The workers counted more claims than recorded": """
        select counted, seen from
        (select sum((counters ->> 'claimed')::bigint) as counted from public.worker_metrics) c,
        (select count(*) as seen from chaos.audit where status = 'running') s where counted > seen""",
    "A job failed by an error of the worker": """
        select job_id, error_class from chaos.audit where status = 'failed' and error_class ~ 'unstorable|QueueError'
        and error_class <> 'unstorable_result'""",
    "An enqueued job was never in the table": """
        select job_id from chaos.enqueued e where not exists (
            select from chaos.audit a where a.job_id = e.job_id and a.old_status is null)""",
    "An attempt was executed twice": """
        select job_id, token, count(*) from chaos.effects where kind = 'begin'
        group by job_id, token having count(*) > 1""",
    "A job succeeded without a successful execution": """
        select job_id, token from chaos.audit a where status = 'succeeded' and old_status = 'running' and not exists (
            select from chaos.effects e where e.job_id = a.job_id and e.token = a.token and e.kind <> 'begin')""",
    "A successful execution did not succeed as an attempt": """
        select e.job_id, e.token, a.status, a.old_attempts, a.attempts, a.cancel_requested, a.error_class
        from chaos.effects e
        left join chaos.audit a on a.job_id = e.job_id and a.old_token = e.token and a.old_status = 'running'
        where e.kind = 'end' and (a.status = 'succeeded' or a.status = 'cancelled' and a.cancel_requested
            or a.error_class in ('lease_expired', 'artifact_upload', 'store_unavailable')
            or a.status = 'queued' and a.attempts < a.old_attempts) is not true""",
    "A job succeeded without all of its files": """
        select j.id, e.files, count(f.id) from public.jobs j
        join chaos.effects e on e.job_id = j.id and e.token = j.lease_token and e.kind = 'end'
        left join (
            select id, job_id, lease_token from public.artifacts where status = 'ready'
            union select artifact_id, job_id, token from chaos.cleaned
        ) f on f.job_id = j.id and f.lease_token = j.lease_token
        where j.status = 'succeeded' group by j.id, e.token, e.files having count(f.id) <> e.files""",
    "A ready artifact has no object": """
        select f.id, f.job_id, f.storage_key from public.artifacts f where f.status = 'ready' and not exists (
            select from chaos.objects o where o.key = f.storage_key and o.sha256 is not null)""",
    "An object differs from its row": """
        select f.id, f.storage_key, o.size_bytes from public.artifacts f join chaos.objects o on o.key = f.storage_key
        where f.status = 'ready' and o.sha256 is not null
        and (o.sha256, o.size_bytes) is distinct from (f.sha256, f.size_bytes)""",
    "An object has no row": """
        select o.key from chaos.objects o where not exists (
            select from public.artifacts f where f.storage_key = o.key)""",
}
"""Violations, each with the statement that finds it."""

_READERS: Final = 8
_MAX_ROWS: Final = 20


def violations(owner: Owner, store: ArtifactStore, effects: Path, enqueued: Iterable[UUID]) -> list[str]:
    """Return all violations; of each check the first ones.

    Args:
        effects: The log of the executors.
        enqueued: IDs of the jobs that the queue accepted.
    """
    _fill(owner, "effects", read_effects(effects))
    _fill(owner, "enqueued", ((job_id,) for job_id in enqueued))
    _fill(owner, "objects", list(_objects(owner, store)))
    for index in ("audit (job_id)", "effects (job_id, token)"):
        owner.execute(f"create index on chaos.{index}")
    owner.execute("analyze")
    return list(broken_laws(owner))


def broken_laws(owner: Owner) -> Iterator[str]:
    """Yield a message for each row found by a check."""
    for message, statement in CHECKS.items():
        yield from (f"{message}: {row}" for row in owner.execute(f"{statement} limit {_MAX_ROWS}"))


def _fill(owner: Owner, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    with owner.connection.cursor().copy(f"copy chaos.{table} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _objects(owner: Owner, store: ArtifactStore) -> Iterator[tuple[object, ...]]:
    """Yield each object, with size and hash if its row is ready."""
    ready = {str(row[0]) for row in owner.execute("select storage_key from public.artifacts where status = 'ready'")}
    with ThreadPoolExecutor(_READERS) as readers:
        yield from readers.map(lambda key: _read(store, key), sorted(ready))
    yield from ((key, None, None) for key in store.keys(-3_600) if key not in ready)


def _read(store: ArtifactStore, key: str) -> tuple[object, ...]:
    try:
        with store.open(key) as read:
            content = read.read()
    except ArtifactStoreError:
        return key, None, None
    return key, hashlib.sha256(content).hexdigest(), len(content)
