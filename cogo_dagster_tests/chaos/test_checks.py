"""Each check of a chaos run finds its violation, which is written into the tables."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster_tests.chaos.checker import CHECKS, broken_laws, violations
from cogo_dagster_tests.chaos.effects import EffectLog
from cogo_dagster_tests.chaos.world import AUDIT, Owner
from cogo_dagster_tests.servers import TestServer

_JOB: Final = "01a21e05-0000-7000-8000-000000000001"
_TOKEN: Final = "01a21e05-0000-7000-8000-00000000000a"
_OTHER: Final = "01a21e05-0000-7000-8000-00000000000b"

_ADD: Final = f"insert into public.jobs (id, type, payload, max_attempts) values ('{_JOB}', 'chaos', '{{}}', 3);"
_CLAIM: Final = (
    "update public.jobs set status = 'running', attempts = attempts + 1, claimed_at = now(), started_at = now(),"
    f" lease_token = '{_TOKEN}', lease_expires_at = now() + interval '1 minute', worker_id = 'w';"
)
_END: Final = "update public.jobs set lease_expires_at = null, finished_at = now(), status = "
_RAN: Final = f"insert into chaos.effects values ('begin', '{_JOB}', '{_TOKEN}', 1), ('end', '{_JOB}', '{_TOKEN}', 1);"
_HEALTHY: Final = (
    f"{_ADD} {_CLAIM} {_RAN} {_END} 'succeeded'; insert into chaos.enqueued values ('{_JOB}');"
    " insert into public.artifacts (job_id, lease_token, name, storage_key, status, size_bytes, sha256)"
    f" values ('{_JOB}', '{_TOKEN}', 'a', 'jobs/a', 'ready', 3, 'aa');"
    " insert into chaos.objects values ('jobs/a', 'aa', 3);"
)
_FAILED: Final = f"{_ADD} {_CLAIM} {_END} 'failed';"
_DLQ_ROW: Final = (
    f"insert into public.jobs_dlq (job_id, type, payload, reason) values ('{_JOB}', 'chaos', '{{}}', 'permanent');"
)


def _noted(old: str, new: str, before: int = 0, after: int = 0, more: str = "") -> str:
    """Return the statement that records a transition of a job."""
    names, values = more.partition("=")[::2]
    return (
        "insert into chaos.audit (at, job_id, old_status, status, old_attempts, attempts, max_attempts"
        f"{', ' + names if names else ''}) values (now(), '{_JOB}', {old}, {new}, {before}, {after}, 3"
        f"{', ' + values if names else ''});"
    )


_ROW: Final = f"insert into public.job_attempts (job_id, lease_token, attempt, outcome, finished_at) values ('{_JOB}', "
BROKEN: Final[Mapping[str, str]] = {
    "A job is neither ended nor deleted after the drain": _ADD,
    "A job has more attempts than its maximum": _noted("'queued'", "'running'", 3, 4),
    "A transition is not in the table of transitions": _noted("'succeeded'", "'queued'"),
    "A job began in another status than queued": _noted("null", "'running'"),
    "An unfinished job was deleted": _noted("'running'", "null"),
    "A claim did not count one attempt": _noted("'queued'", "'running'", 1, 1),
    "An attempt was counted or refunded outside a claim or requeue": _noted("'running'", "'failed'", 1, 2),
    "A token was used for two claims of one job": 2 * _noted("'queued'", "'running'", 0, 1, f"token='{_TOKEN}'"),
    "A job succeeded with another token than its attempt's": _noted(
        "'running'", "'succeeded'", 1, 1, f"old_token, token='{_TOKEN}', '{_OTHER}'"
    ),
    "An attempt left no row": _ADD + _CLAIM + _END + "'queued';",
    "A running job has no lease, or another job has one": (
        "alter table public.jobs drop constraint jobs_running_is_leased;"
        + _ADD
        + _CLAIM
        + "update public.jobs set lease_expires_at = null;"
    ),
    "A failed job has no open DLQ row": _FAILED,
    "A job has an open DLQ row and has not failed": _ADD + _DLQ_ROW,
    "A job has two DLQ rows": "drop index public.jobs_dlq_job;" + _FAILED + 2 * _DLQ_ROW,
    "A dead-lettered job was replayed into two jobs": (
        _noted("null", "'queued'", more="idempotency_key='dlq:1'")
        + _noted("null", "'queued'", more="idempotency_key='dlq:1'").replace(_JOB, _OTHER)
    ),
    "A replayed DLQ row has no job": _FAILED + _DLQ_ROW + "update public.jobs_dlq set replayed_at = now();",
    "A file of a lost or requeued attempt is ready": _HEALTHY + f"{_ROW} '{_TOKEN}', 1, 'lost', now());",
    "A file of an unsuccessful attempt is ready beside a success": (
        _HEALTHY + f"update public.artifacts set lease_token = '{_OTHER}';"
    ),
    "A file is neither ready nor swept": _HEALTHY + "update public.artifacts set status = 'pending';",
    "The workers counted more successes than recorded": (
        "insert into public.worker_metrics (instance_id, worker_id, counters)"
        f" values ('{_OTHER}', 'w', '{{\"succeeded\": 1}}');"
    ),
    "The workers counted more claims than recorded": (
        "insert into public.worker_metrics (instance_id, worker_id, counters)"
        f" values ('{_OTHER}', 'w', '{{\"claimed\": 1}}');"
    ),
    "A job failed by an error of the worker": _noted("'running'", "'failed'", more="error_class='QueueError'"),
    "An enqueued job was never in the table": f"insert into chaos.enqueued values ('{_JOB}');",
    "An attempt was executed twice": _RAN + _RAN,
    "A job succeeded without a successful execution": _HEALTHY + "delete from chaos.effects where kind = 'end';",
    "A successful execution did not succeed as an attempt": _FAILED + _RAN,
    "A job succeeded without all of its files": _HEALTHY + "delete from public.artifacts;",
    "A ready artifact has no object": _HEALTHY + "delete from chaos.objects;",
    "An object differs from its row": _HEALTHY + "update chaos.objects set size_bytes = 4;",
    "An object has no row": "insert into chaos.objects values ('jobs/b', null, null);",
}


@pytest.fixture
def dsn(server: TestServer) -> Iterator[str]:
    """Yield the URL of a database that records changes as in a run."""
    server.template("audited", _record_changes, based_on="migrated")
    with server.lend("audited") as dsn:
        yield dsn


def _record_changes(dsn: str) -> None:
    owner = Owner(dsn)
    owner.execute(AUDIT.read_text())
    owner.close()


@pytest.fixture
def audited(dsn: str) -> Iterator[Owner]:
    """Connect to the database."""
    owner = Owner(dsn)
    yield owner
    owner.close()


def test_a_run_without_violations_reports_none(audited: Owner) -> None:
    """The database has a job that succeeded with its file."""
    audited.execute(_HEALTHY)
    assert list(broken_laws(audited)) == []


@pytest.mark.parametrize("message", list(CHECKS))
def test_each_check_finds_its_violation(message: str, audited: Owner) -> None:
    """A check that never finds anything would prove nothing."""
    audited.execute(BROKEN[message])
    assert message in {found.partition(": ")[0] for found in broken_laws(audited)}


def test_data_outside_the_database_is_read(audited: Owner, tmp_path: Path) -> None:
    """The checks read the log of effects, the producer's job IDs, and the objects in the store."""
    log, missing = tmp_path / "effects.log", UUID(_OTHER)
    EffectLog(log).write("end", UUID(_JOB), UUID(_TOKEN))
    store = FolderStore(tmp_path / "artifacts")
    stray = tmp_path / "artifacts" / "reports" / f"{'a' * 64}.html"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"?")
    found = {message.partition(": ")[0] for message in violations(audited, store, log, [missing])}
    assert found >= {
        "A successful execution did not succeed as an attempt",
        "An enqueued job was never in the table",
        "An object has no row",
    }
