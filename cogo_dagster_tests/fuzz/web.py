"""Requests to the pages of the web application, and the server of the requests to its API: never a 500."""

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final
from unittest import mock

import httpx
import psycopg
from hypothesis import strategies as st

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import load_settings
from cogo_dagster.web import access
from cogo_dagster.web import pages as dashboard
from cogo_dagster_tests.fuzz.strategies import TEXTS, as_bytes, documents
from cogo_dagster_tests.fuzz.trial import Surroundings, Trial
from cogo_dagster_tests.rows import every_row
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Site, served
from cogo_dagster_tests.web.population import history, populate

USES: Final = ("access_tokens", "web_sessions")
"""Tables that record the last use of a token or a session."""


def pages(trial: Trial) -> None:
    """Pages and forms of the dashboard, which are not in the document: any parameters, bodies and methods."""
    with site_of(trial.surroundings) as (site, owner):
        paths = sorted({re.sub(r"{\w+}", "{}", path) for path in _paths()})
        assert len(paths) > 10
        session = {"cookie": f"cogo_session={site.cookie('anna')}"}
        words = st.one_of(TEXTS, documents().map(lambda value: as_bytes(value)[:1_000].decode("utf-8", "replace")))
        names = st.one_of(
            st.sampled_from(("q", "status", "before", "after", "page", "form", "kind", "name", "limit", "next")), words
        )
        pairs = st.dictionaries(names, words, max_size=3)
        headers = st.sampled_from(({}, session, session | {"origin": site.url}, ADMIN))

        def check(case: tuple[str, str, str, dict[str, str], dict[str, str], dict[str, str]]) -> None:
            method, path, part, query, form, given = case
            before = every_row(owner, but=USES)
            address = path.replace("{}", httpx.URL(f"http://x/?{part}").query.decode("ascii", "replace") or "0")
            with site.client.stream(
                method, address, params=_sendable(query), data=_sendable(form) or None, headers=given
            ) as answer:
                content = b"" if path.endswith("/live") else answer.read()
            assert answer.status_code < 500, (answer.status_code, content[:500])
            assert b"Traceback" not in content
            refused = answer.status_code >= 400 or method in ("GET", "HEAD")
            assert not refused or every_row(owner, but=USES) == before

        methods = st.sampled_from(("GET", "GET", "POST", "POST", "HEAD", "PUT"))
        parts = st.one_of(st.uuids().map(str), st.from_regex(r"[A-Za-z0-9%_-]{0,40}", fullmatch=True))
        trial.each(st.tuples(methods, st.sampled_from(paths), parts, pairs, pairs, headers), check)


def _sendable(words: Mapping[str, str]) -> dict[str, str]:
    return {
        name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for name, value in words.items()
    }


def _paths() -> Iterator[str]:
    for found in iter_modules(dashboard.__path__, f"{dashboard.__name__}."):
        router = getattr(import_module(found.name), "router", None)
        for route in router.routes if router else ():
            yield route.path


@contextmanager
def site_of(surroundings: Surroundings) -> Iterator[tuple[Site, "psycopg.Connection[Any]"]]:
    """Run a server with data and without a limit on wrong tokens."""
    home = surroundings.folder / f"web-{random.getrandbits(32):x}"
    files = home / "files"
    files.mkdir(parents=True)
    settings = load_settings(
        COGO_DATABASE_URL=surroundings.dsn, COGO_HOME=str(home), QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN, METRICS_BASE=""
    )
    transport = PostgresTransport(surroundings.dsn, role="service_role")
    store = FolderStore(home / "artifacts")
    application = Application(settings, surroundings.dsn, transport, Queue(transport), store)
    try:
        history(surroundings.dsn, rows=60)
        populate(application.queue, store, files)
        with (
            mock.patch.object(access, "_MAX_FAILURES", 10**9),
            served(settings, application) as site,
            psycopg.connect(surroundings.dsn, autocommit=True) as owner,
        ):
            yield site, owner
    finally:
        transport.close()
