"""Large tables of jobs, each difficult for a claim in a different way, created by one statement."""

from typing import Final, LiteralString

import psycopg

DUE: Final = 200
"""Due, unaddressed jobs of type `quick` in every backlog, in ten priorities."""

RUNNING: Final = 1_000
"""Running jobs of type `busy` in every backlog; the lease of every tenth one has expired."""

_COMMON: Final[LiteralString] = """
    insert into public.jobs (type, priority, next_run_at)
    select 'quick', n % 10, now() - n * interval '1 ms' from generate_series(1, {due}) n;

    insert into public.jobs (type, status, attempts, lease_token, lease_expires_at, claimed_at, started_at)
    select 'busy', 'running', 1, gen_random_uuid(),
           now() + case when n % 10 = 0 then interval '-1 h' else interval '1 h' end, now(), now()
    from generate_series(1, {running}) n;

    analyze public.jobs
"""

_BACKLOGS: Final[dict[str, LiteralString]] = {
    "future": """
        insert into public.jobs (id, type, priority, next_run_at)
        select lpad(to_hex(n), 32, '0')::uuid, 'browser', n % 10, now() + interval '1 hour' + n * interval '1 ms'
        from generate_series(1, {rows}) n""",
    "mixed": """
        insert into public.jobs (id, type, priority, next_run_at)
        select lpad(to_hex(n), 32, '0')::uuid,
               (array['browser', 'browser.pdf', 'figma', 'gate', 'gate_fix'])[1 + n % 5],
               n / 5 % 10, now() - n % 86400 * interval '1 s'
        from generate_series(1, {rows}) n""",
    "elsewhere": """
        insert into public.jobs (id, type, executor_id, priority, next_run_at)
        select lpad(to_hex(n), 32, '0')::uuid, 'browser', 'elsewhere', n % 10, now() - n * interval '1 ms'
        from generate_series(1, {rows}) n""",
    "finished": """
        insert into public.jobs (id, type, status, attempts, priority, next_run_at, finished_at, lease_token)
        select lpad(to_hex(n), 32, '0')::uuid, 'browser',
               case when n % 50 = 0 then 'failed' else 'succeeded' end, 1, n % 10,
               now() - interval '30 days', now() - interval '30 days' + n * interval '1 s', md5(n::text)::uuid
        from generate_series(1, {rows}) n""",
}

BACKLOGS: Final = tuple(_BACKLOGS)


def fill(dsn: str, backlog: str, rows: int) -> None:
    """Fill an empty database with a backlog, and analyze the table."""
    statements = f"{_BACKLOGS[backlog]}; {_COMMON}".format(rows=rows, due=DUE, running=RUNNING)
    with psycopg.connect(dsn, autocommit=True) as owner:
        for statement in statements.split(";"):
            owner.execute(statement.encode())
