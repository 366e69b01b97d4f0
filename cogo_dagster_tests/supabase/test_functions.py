"""Every function of the engine as a hosted project serves it: access, response format, duration."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import sql_folder
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.sql.test_rights import migrated_template
from cogo_dagster_tests.supabase.keys import ANON, PUBLISHABLE, SERVICE_ROLE, legacy_key
from cogo_dagster_tests.supabase.server import StandIn, supabase
from docs.sql_functions import IN_PUBLIC, functions

ROWS: Final = 20_000
"""A call that compares each row with each other one takes longer than the time limit."""

MAX_SECONDS: Final = 8.0

OUTSIDERS: Final[Mapping[str, Mapping[str, str]]] = {
    "the anon key": {"apikey": ANON, "Authorization": f"Bearer {ANON}"},
    "the publishable key": {"apikey": PUBLISHABLE, "Authorization": f"Bearer {PUBLISHABLE}"},
    "a user who signed in": {"apikey": ANON, "Authorization": f"Bearer {legacy_key('authenticated')}"},
    "the service key without a bearer": {"apikey": SERVICE_ROLE},
    "no key": {},
}

SAMPLES: Final[Mapping[str, Json]] = {
    "uuid": str(uuid4()),
    "text": "browser",
    "integer": 1_000,
    "bigint": 1_000,
    "boolean": True,
    "double precision": 1.0,
    "jsonb": [],
    "timestamp with time zone": "2026-01-01T00:00:00Z",
    "uuid[]": [str(uuid4())],
    "text[]": ["browser"],
    "integer[]": [5],
    "double precision[]": [1.0],
}

FULL: Final = f"""
insert into public.jobs (id, type, priority, next_run_at)
select lpad(to_hex(n), 32, '0')::uuid, (array['browser', 'browser.pdf', 'figma', 'gate'])[1 + n % 4], n / 4 % 10,
       now() - n % 86400 * interval '1 s'
from generate_series(1, {ROWS}) n;

insert into public.jobs (id, type, status, attempts, lease_token, lease_expires_at, claimed_at, started_at)
select lpad(to_hex({ROWS} + n), 32, '0')::uuid, 'busy', 'running', 1, md5(n::text)::uuid, now() - interval '1 h',
       now() - interval '2 h', now() - interval '2 h'
from generate_series(1, {ROWS}) n;

insert into public.jobs (id, type, status, attempts, next_run_at, created_at, finished_at, lease_token, error)
select lpad(to_hex(2 * {ROWS} + n), 32, '0')::uuid, 'old.done',
       case when n % 2 = 0 then 'failed' else 'succeeded' end, 1,
       now() - interval '60 d', now() - interval '60 d', now() - interval '50 d' + n * interval '1 s',
       md5(n::text)::uuid,
       case when n % 2 = 0 then '{{"class": "timeout", "message": "The page did not load."}}'::jsonb end
from generate_series(1, {ROWS}) n;

insert into public.jobs_dlq
    (job_id, type, payload, priority, max_attempts, attempts, reason, error, failed_at, created_at)
select j.id, j.type, j.payload, j.priority, j.max_attempts, 1, 'permanent', j.error, j.finished_at, j.created_at
from public.jobs j where j.status = 'failed';

insert into public.artifacts (job_id, lease_token, name, content_type, size_bytes, storage_key, status, created_at)
select j.id, j.lease_token, 'page.png', 'image/png', 1, 'jobs/' || j.id || '/page.png',
       (array['ready', 'pending', 'orphaned'])[1 + abs(hashtext(j.id::text)) % 3], j.finished_at
from public.jobs j where j.finished_at is not null;

insert into public.job_attempts (job_id, lease_token, attempt, outcome, claimed_at, started_at, finished_at)
select j.id, md5(j.id::text)::uuid, 1, 'failed', j.finished_at, j.finished_at, j.finished_at
from public.jobs j where j.finished_at is not null;

analyze
"""

LARGEST: Final[Mapping[str, Mapping[str, Json]]] = {
    "claim_jobs": {
        "claim_id": str(uuid4()),
        "families": [{"family": "browser", "max_jobs": 1_000}, {"family": "gate", "max_jobs": 1_000}],
        "worker_id": "w",
    },
    "claim_one_job": {"executor_id": None, "worker_id": "w"},
    "recover_leases": {"batch_size": 500},
    "purge_jobs": {"older_than_days": 30, "statuses": ["succeeded", "failed"], "dry_run": True, "batch_size": 1_000},
    "cleanup_artifacts": {"older_than_days": 30, "delete_objects": True, "dry_run": True, "batch_size": 1_000},
    "retry_failed": {"dry_run": True, "batch_size": 1_000, "reset_attempts": True},
    "replay_dlq": {"dry_run": True, "batch_size": 1_000},
    "list_jobs": {"max_jobs": 1_000, "type_prefix": "old"},
    "list_dlq": {"max_jobs": 1_000, "type_prefix": "nothing"},
    "list_artifacts": {"max_artifacts": 1_000, "type_prefix": "nothing"},
    "list_unknown_objects": {"storage_keys": [f"jobs/{n}/page.png" for n in range(500)]},
    "gate_summary": {"hours": 740},
    "explain_jobs": {"job_ids": [f"{n:032x}" for n in range(1, 1_001)]},
    "get_jobs": {"job_ids": [f"{n:032x}" for n in range(2 * ROWS, 2 * ROWS + 1_000)]},
    "enqueue_jobs": {"jobs": [{"type": "browser"}] * 1_000},
    "enqueue_columns": {"types": ["browser"] * 1_000, "payloads": [{}] * 1_000},
    "succeed_jobs": {
        "job_ids": [f"{n:032x}" for n in range(1, 501)],
        "lease_tokens": [str(uuid4())] * 500,
        "run_seconds": [0.1] * 500,
    },
}
"""The largest calls that clients make; the other functions are called with one value per argument."""


@pytest.fixture(params=["closed", "open"])
def any_privileges(request: pytest.FixtureRequest, server: TestServer) -> Iterator[StandIn]:
    """Run a project with the newer default privileges, or with the older ones, which grant everything to anon."""
    with server.clone(migrated_template(server, request.param)) as dsn, supabase(dsn) as stand_in:
        yield stand_in


def call(client: httpx.Client, name: str, arguments: Mapping[str, Json]) -> httpx.Response:
    """Call one function."""
    return client.post(f"/rest/v1/rpc/{name}", json=dict(arguments))


def service(stand_in: StandIn) -> httpx.Client:
    """Return a client with the service key."""
    return httpx.Client(base_url=stand_in.url, headers=dict(stand_in.project().headers), timeout=60)


def test_every_function_rejects_outsiders(any_privileges: StandIn) -> None:
    """Each function over HTTP, whatever the project's default privileges for new functions are."""
    with httpx.Client(base_url=any_privileges.url, timeout=60) as client:
        for name, arguments in FUNCTIONS.items():
            body = json.dumps(dict.fromkeys(arguments))
            for who, headers in OUTSIDERS.items():
                given = {"Content-Type": "application/json", **headers}
                answer = client.post(f"/rest/v1/rpc/{name}", content=body, headers=given)
                assert answer.status_code in (401, 403), (name, who, answer.text)
                assert answer.json().get("code", "42501") == "42501", (name, who, answer.text)


@pytest.mark.parametrize("given", ["nothing at all", "nulls", "samples"])
def test_every_function_returns_one_document_or_an_error(stand_in: StandIn, given: str) -> None:
    """For any arguments: JSON, no status of an internal error, and nothing that PostgREST would retry forever."""
    with service(stand_in) as client:
        for name, types in FUNCTIONS.items():
            arguments = {"nulls": dict.fromkeys(types), "samples": {key: SAMPLES[types[key]] for key in types}}
            answer = call(client, name, arguments.get(given, {}))
            assert answer.headers["content-type"].startswith("application/json"), name
            assert answer.status_code == 200 or _is_rejection(answer), (name, answer.status_code, answer.text)
    assert stand_in.postgrest.endless == []


def test_no_internal_function_can_be_called_over_rest(stand_in: StandIn) -> None:
    """Their schema is not exposed, even to the service key."""
    with service(stand_in) as client:
        for one in functions():
            if one.is_internal and one.name not in IN_PUBLIC:
                answer = call(client, one.name, dict.fromkeys(argument.split()[0] for argument in one.arguments))
                assert (answer.status_code, answer.json()["code"]) == (404, "PGRST202"), one.name


def _is_rejection(answer: httpx.Response) -> bool:
    return answer.status_code in (400, 404) and re.match(r"CQ00\d|22|PGRST202", answer.json()["code"]) is not None


def test_no_source_raises_what_postgrest_retries_forever() -> None:
    """No file of sql/ names 40001 or 40P01, by code or by condition name, except to handle it."""
    forbidden = re.compile(r"40001|40P01|serialization_failure|deadlock_detected", re.IGNORECASE)
    sources = [path for path in sql_folder().rglob("*.sql") if forbidden.search(_code(path.read_text()))]
    assert sources == []


def _code(source: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*|^exception when [\w ]+ then$", "", source, flags=re.DOTALL | re.MULTILINE)


def test_endless_retries_are_recorded(stand_in: StandIn, owner: Owner) -> None:
    """The stand-in records a function that raises 40001, so that the tests above can fail."""
    owner.execute(
        "create function public.stubborn() returns jsonb language plpgsql as"
        " $$ begin raise exception using errcode = '40001'; end $$; notify pgrst, 'reload schema'"
    )
    with service(stand_in) as client:
        assert call(client, "stubborn", {}).status_code == 504
    assert stand_in.postgrest.endless == ["stubborn"]
    stand_in.postgrest.endless.clear()


def test_every_call_is_fast_on_full_tables(stand_in: StandIn, owner: Owner) -> None:
    """With 60,000 jobs, dead-lettered jobs, artifacts and attempts, every call ends before the statement timeout."""
    owner.execute(FULL.encode())
    seconds: dict[str, float] = {}
    with service(stand_in) as client:
        for name, types in FUNCTIONS.items():
            began = time.monotonic()
            answer = call(client, name, LARGEST.get(name) or {key: SAMPLES[types[key]] for key in types})
            seconds[name] = time.monotonic() - began
            assert answer.status_code == 200 or _is_rejection(answer), (name, answer.status_code, answer.text)
            assert name not in LARGEST or answer.status_code == 200, (name, answer.text)
    slowest = max(seconds, key=lambda name: seconds[name])
    assert seconds[slowest] < MAX_SECONDS, (slowest, seconds[slowest])


def test_there_is_a_sample_of_every_type() -> None:
    """An argument of a new type needs a value in SAMPLES."""
    assert {type for types in FUNCTIONS.values() for type in types.values()} <= set(SAMPLES)


def test_every_largest_call_matches_a_function() -> None:
    """Its function exists and accepts its arguments."""
    odd: dict[str, Any] = {name: set(given) - set(FUNCTIONS.get(name, ())) for name, given in LARGEST.items()}
    assert {name: names for name, names in odd.items() if names} == {}
