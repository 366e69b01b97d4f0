"""Workers and web servers of the last release continue during and after a migration of the schema."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from cogo_dagster.cli.command import ExitCode
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.migrate import SCHEMA_RELEASE, migrate, schema_objects, status
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.cli.slow_site import SlowSite, slow_site
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.compatibility.release import Release, last_release
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.servers import TestServer

_SIGNATURES: Final = """
    select proname, prorettype::regtype::text, proretset, coalesce(proargnames, '{}'),
           array(select t::regtype::text from unnest(proargtypes) with ordinality a (t, n) order by n), pronargdefaults
    from pg_proc
    where pronamespace = 'public'::regnamespace and has_function_privilege('service_role', oid, 'execute')
"""
WEB: Final = Path(__file__).with_name("older_web.py")
_SECONDS: Final = 150


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Unpack the last release."""
    return last_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def older(release: Release, server: TestServer) -> Iterator[str]:
    """Yield the DSN of a database at the last release."""
    template = f"release_{release.version.replace('.', '_')}"
    server.template(template, lambda dsn: release.run("migrate", dsn))
    with server.clone(template) as dsn:
        yield dsn


@pytest.fixture
def site() -> Iterator[SlowSite]:
    """Serve a page that responds at once."""
    with slow_site() as site:
        site.answer.set()
        yield site


@pytest.fixture
def old_cogo(release: Release, tmp_path: Path, dsn: str, site: SlowSite) -> Terminal:
    """Return a terminal with the last release's commands on this schema."""
    visiting = {"BROWSER_REAL_MODE": "false", "BROWSER_ALLOWED_HOSTS": site.authority}
    return terminal(tmp_path, dsn, {**release.environment, **visiting})


def test_the_steps_run_with_the_release_package(release: Release) -> None:
    """They do not import this package, which is installed too."""
    where = subprocess.run(
        [release.client()[0], "-c", "import cogo_dagster; print(cogo_dagster.__file__)"],
        cwd=release.folder,
        env=release.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert where.stdout.startswith(str(release.folder))


def test_the_last_release_is_in_the_changelog() -> None:
    """It has its date, and later changes are in a section of their own."""
    newest = tomllib.loads((PROJECT_ROOT / "cogo_dagster_tests" / "releases.toml").read_text())["release"][-1]
    headings = [line for line in (PROJECT_ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[:2] == ["## [Unreleased]", f"## [{newest['version']}] - {newest['date']}"]


def test_a_client_of_the_last_release_works_on_this_schema(release: Release, dsn: str) -> None:
    """Enqueue, claim, renew, every outcome, files, operations, lists, heartbeat and shutdown work."""
    release.run("steps", dsn)


@pytest.mark.timeout(300)
def test_a_client_of_the_last_release_goes_on_while_the_schema_is_migrated(release: Release, older: str) -> None:
    """No call fails, though it uses statements that were prepared before, on the same connection."""
    _goes_on(release, release.client("beside", older), older)


@pytest.mark.timeout(300)
def test_a_web_server_of_the_last_release_goes_on_while_the_schema_is_migrated(
    release: Release, older: str, tmp_path: Path
) -> None:
    """Every page and endpoint responds before, during and after it, with statements that were prepared before."""
    requested = _goes_on(release, [sys.executable, str(WEB), older, str(tmp_path)], older)
    assert requested >= 40


def _goes_on(release: Release, command: list[str], older: str) -> int:
    """Migrate the database while a program of the release uses it; return the number that it printed, if any."""
    with subprocess.Popen(
        command,
        env=release.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            ready = client.stdout.readline()
            if ready.startswith("ready"):
                with ThreadPoolExecutor(1) as threads:
                    threads.submit(_migrate_by_force, older).result(_SECONDS)
            out, err = client.communicate("stop\n", timeout=_SECONDS)
        finally:
            client.kill()
    assert client.returncode == 0, ready + out + err
    assert status(older).current
    return int(ready.removeprefix("ready").strip() or 0)


@pytest.mark.timeout(120)
def test_a_call_that_began_before_the_migration_ends_after_it(release: Release, older: str) -> None:
    """Internal functions that this release renamed stay until it has ended, and are dropped afterwards."""
    call = "do $$ begin perform pg_advisory_xact_lock(20); perform cogo_internal.per_cent(1, 2); end $$"
    with psycopg.connect(older, autocommit=True) as owner, psycopg.connect(older, autocommit=True) as caller:
        owner.execute('select public.enqueue_jobs(\'[{"type": "browser", "payload": {}}]\')')
        owner.execute("select pg_advisory_lock(20)")
        with ThreadPoolExecutor(2) as threads:
            calling = threads.submit(caller.execute, call)
            while not owner.execute("select from pg_locks where objid = 20 and not granted").fetchall():
                assert not calling.done(), calling.result()
            migrating = threads.submit(migrate, older)
            while not status(older).current:
                assert not migrating.done(), migrating.result()
            owner.execute("select pg_advisory_unlock(20)")
            calling.result(_SECONDS)
            migrating.result(_SECONDS)
        left = "select proname from pg_proc where pronamespace = 'cogo_internal'::regnamespace"
        assert {name for (name,) in owner.execute(left)} == {
            signature.partition("(")[0] for signature in schema_objects().internals
        }


@pytest.mark.timeout(300)
def test_a_worker_of_the_last_release_runs_jobs_on_this_schema(
    old_cogo: Terminal, queue: Queue, site: SlowSite
) -> None:
    """Its command `worker --drain` registers, runs the jobs of both releases and shuts down."""
    assert _run(old_cogo, "enqueue", "browser", "--url", site.url).code == 0
    for _ in range(2):
        add(queue, payload={"url": site.url})
    answer = _run(old_cogo, "worker", "--drain", "--json")
    assert answer.code == 0, answer
    assert answer.json["counters"]["succeeded"] == 3
    listed = _run(old_cogo, "list", "jobs", "--json")
    assert "succeeded" in listed.out


def test_functions_that_the_last_release_calls_keep_their_names_and_arguments(release: Release, older: str) -> None:
    """New arguments need a default; a renamed function keeps a wrapper for one release."""
    with psycopg.connect(older, autocommit=True) as owner:
        before = {name: one for name, one in _signatures(owner).items() if name not in _parts(release)}
        migrate(older)
        after = _signatures(owner)
    assert before
    gone = [name for name, one in before.items() if not any(_fits(one, other) for other in after.get(name, ()))]
    assert gone == []


def test_incompatible_signatures_are_detected(older: str) -> None:
    """A new argument with a default is compatible, one without is not."""
    with psycopg.connect(older, autocommit=True) as owner:
        before = _signatures(owner)["send_wakeup"]
        for name, argument in (("send_wakeup_2", "more text default null"), ("send_wakeup_3", "more text")):
            owner.execute(f"create function public.{name}({argument}) returns jsonb return null::jsonb".encode())
        after = _signatures(owner)
    assert [_fits(before, after[name][0]) for name in ("send_wakeup_2", "send_wakeup_3")] == [True, False]


def test_the_last_release_rejects_a_schema_that_does_not_allow_it(old_cogo: Terminal, dsn: str) -> None:
    """The command ends with the exit code of the database and says what to do."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("update public.deployment set release = 99, oldest_client_release = 99")
    answer = _run(old_cogo, "worker", "--drain")
    assert answer.code == ExitCode.DATABASE
    assert "is at release 99" in answer.err
    assert "update the code" in answer.err


def test_this_code_rejects_an_older_schema(tmp_path: Path, dsn: str) -> None:
    """The command ends with the exit code of the database and names the command that migrates."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("update public.deployment set release = %s", (SCHEMA_RELEASE - 1,))
    answer = terminal(tmp_path, dsn, {}).run("list", "jobs")
    assert answer.code == ExitCode.DATABASE
    assert f"is at release {SCHEMA_RELEASE - 1}, this code at {SCHEMA_RELEASE}: run `cogo db migrate`" in answer.err


def _migrate_by_force(dsn: str) -> None:
    """Migrate, then apply all functions again, including unchanged ones."""
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("update public.deployment set functions_digest = 'older'")
    migrate(dsn)


def _parts(release: Release) -> set[str]:
    """Return the internal functions of the release: its catalogue does not name them."""
    catalogue = (release.folder / "cogo_dagster" / "queue" / "functions.py").read_text(encoding="utf-8")
    files = (release.folder / "sql" / "functions").glob("*.sql")
    return {path.stem for path in files if f'    "{path.stem}": {{' not in catalogue}


def _run(cogo: Terminal, *words: str) -> Any:
    with cogo.start(*words) as process:
        return process.wait(_SECONDS)


Signature = tuple[str, bool, dict[str, str], int]
"""The result type, whether it is a set, the arguments with their types in order, and the number of defaults."""


def _signatures(owner: Owner) -> dict[str, list[Signature]]:
    found: dict[str, list[Signature]] = {}
    for name, returned, many, names, types, defaults in owner.execute(_SIGNATURES.encode()).fetchall():
        given = dict(zip(names[: len(types)], types, strict=True))
        found.setdefault(name, []).append((returned, many, given, defaults))
    return found


def _fits(before: Signature | list[Signature], after: Signature) -> bool:
    """Return whether a call with named arguments still works."""
    if isinstance(before, list):
        return all(_fits(one, after) for one in before)
    returned, many, arguments, defaults = after
    optional = list(arguments)[len(arguments) - defaults :]
    further = arguments.keys() - before[2].keys()
    required_before = list(before[2])[: len(before[2]) - before[3]]
    return (
        (returned, many) == before[:2]
        and all(arguments.get(name) == kind for name, kind in before[2].items())
        and further <= set(optional)
        and all(name in optional or name in required_before for name in before[2])
    )
