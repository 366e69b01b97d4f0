"""Invalid rows: each column of each table with each extreme value of its type.

The rows are copies of valid ones with one value replaced, written by the owner without the checks: a restored dump, an
older schema or plain SQL may contain every one of them.
"""

import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import psycopg

from cogo_dagster_tests.conftest import Owner

ESC: Final = "\x1b[2J\x9b31m\u202e<script>alert(1)</script>\nnext line"

_LONG: Final = 200_000
"""Three times what a page shows of a document; every list contains such values, so that more takes long."""

_DEEP: Final = "[" * 900 + "]" * 900
_TIMES: Final = ("infinity", "-infinity", "11026-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC", None)
_TEXTS: Final = ("", ESC, "x" * _LONG, "1e5000", None)
_DOCUMENTS: Final = (
    "[]",
    '"text"',
    "5",
    "null",
    '{"class": 5, "message": {"a": [1]}, "retryable": "maybe", "detail": [1]}',
    '{"job_id": "no id", "run_id": 5, "artifact_id": []}',
    '{"claimed": "many", "succeeded": null, "failed": [1], "lease_lost": 1e30, "retried": 1e5000}',
    '{"bounds_seconds": "no list", "counts": [1, "two"], "sum_seconds": []}',
    '{"bounds_seconds": [0.1, "x", 10], "counts": [1, 2, 3, 4], "sum_seconds": 1}',
    '{"bounds_seconds": [0.1, 1, 10], "counts": [1, 2], "sum_seconds": 1}',
    '{"url": 5, "file_key": [], "command": {"a": null}}',
    json.dumps({ESC: ESC, "hostname": ESC}),
    '{"deep": ' + _DEEP + "}",
    '{"number": 1e5000, "other": -1e-5000}',
    json.dumps({"long": "x" * _LONG}),
    None,
)
_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "timestamp with time zone": _TIMES,
    "double precision": ("NaN", "Infinity", "-Infinity", 1e308, -1, None),
    "integer": (-(2**31), 2**31 - 1, None),
    "bigint": (-(2**63), 2**63 - 1, None),
    "smallint": (-(2**15), 2**15 - 1, None),
    "text": _TEXTS,
    "jsonb": _DOCUMENTS,
    "uuid": (None,),
    "text[]": ([], [None, ESC]),
}
_BY_STATUS: Final = ("timestamp with time zone", "double precision")
_TABLES: Final = (
    *("jobs", "job_attempts", "jobs_dlq", "workers", "worker_heartbeats", "worker_devices", "worker_metrics"),
    *("artifacts", "paused", "rate_limits", "gate_runs", "alerts", "alert_deliveries", "alert_targets"),
    *("alert_silences", "provider_health", "operations_log", "executors"),
)
_SOUND: Final = """
    insert into public.rate_limits (name, tokens, refilled_at, open_until, reason)
    values ('figma', 1, now(), now() + interval '1 hour', 'wait');
    insert into public.alerts (id, fingerprint, kind, subject, status, title, count, first_seen_at, last_seen_at, refs)
    values (gen_random_uuid(), 'f', 'job_failed', 's', 'firing', 't', 1, now(), now(), '{}');
    insert into public.alert_targets (target, first_seen_at, last_seen_at) values ('slack', now(), now());
    insert into public.alert_deliveries (alert_id, target, status, event, next_attempt_at)
    select id, 'slack', 'pending', 'firing', now() from public.alerts;
    insert into public.alert_silences (id, kind, author, ends_at)
    values (gen_random_uuid(), 'k', 'anna', now() + interval '1 hour');
    insert into public.provider_health (provider, capability, healthy, latency_ms, checked_at, since)
    values ('openai', 'chat', true, 5, now(), now());
    insert into public.gate_runs (id, type, status, branch, commit_sha, build_seconds)
    select gen_random_uuid(), kind, 'pass', 'main', repeat('a', 40), 5 from unnest(array['gate', 'gate_fix']) kind;
    insert into public.executors (id) values ('mac-1') on conflict do nothing;
    insert into public.job_attempts (job_id, lease_token, attempt, outcome, finished_at)
    select id, gen_random_uuid(), 1, 'failed', now() from public.jobs order by id desc limit 1;
"""


def poison(owner: Owner) -> int:
    """Insert a row for each value of each column that the database accepts; return the number of rows."""
    owner.execute(_SOUND.encode())
    _drop_checks(owner)
    return sum(_poison_table(owner, table) for table in _TABLES)


def _drop_checks(owner: Owner) -> None:
    rows = owner.execute(
        "select conrelid::regclass::text, conname from pg_constraint"
        " where connamespace = 'public'::regnamespace and contype in ('c', 'f')"
    ).fetchall()
    for table, name in rows:
        owner.execute(f'alter table {table} drop constraint "{name}"'.encode())


def _poison_table(owner: Owner, table: str) -> int:
    columns = owner.execute(
        "select a.attname, format_type(a.atttypid, null),"
        " exists (select from pg_index i where i.indrelid = a.attrelid and i.indisunique and a.attnum = any (i.indkey))"
        " from pg_attribute a where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped"
        " and a.attgenerated = '' and a.attidentity = ''",
        (f"public.{table}",),
    ).fetchall()
    status = "status" if any(name == "status" for name, _, _ in columns) else "1"
    sound = owner.execute(f"select distinct on ({status}) to_jsonb(t) from public.{table} t".encode()).fetchall()
    assert sound, f"No sound row of {table}."
    names = ", ".join(f'"{name}"' for name, _, _ in columns)
    insert = f"insert into public.{table} ({names}) select {names} from jsonb_populate_record(null::public.{table}, %s)"
    written = 0
    for at, (row,) in enumerate(sound):
        # The display of a job's times depends on its status; that of other columns does not.
        for name, value in _replacements([one for one in columns if not at or one[1] in _BY_STATUS]):
            fresh = {key: _fresh(kind, row[key]) for key, kind, unique in columns if unique and key != name}
            written += _insert(owner, insert, row | fresh | {name: value})
    return written


def _replacements(columns: list[tuple[Any, ...]]) -> Iterator[tuple[str, Any]]:
    for name, kind, _ in columns:
        for value in _VALUES.get(kind, ()):
            yield name, _Raw(value) if kind == "jsonb" and value is not None else value


class _Raw(str):
    """JSON that is inserted unchanged."""

    __slots__ = ()


def _fresh(kind: str, value: Any) -> Any:
    if kind == "uuid":
        return str(uuid4())
    return f"{value}-{uuid4()}" if kind == "text" else value


def _insert(owner: Owner, statement: str, row: dict[str, Any]) -> int:
    """Insert one row; return 0 if the database rejects it, for example by a unique key or the size of an index."""
    members = (
        f"{json.dumps(name)}: {value if isinstance(value, _Raw) else json.dumps(value)}" for name, value in row.items()
    )
    try:
        return owner.execute(statement.encode(), (f"{{{', '.join(members)}}}",)).rowcount
    except psycopg.Error:
        return 0
