"""Requests to the web application, with and without a login: responses match its OpenAPI document, never a 500."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final, TypeAlias
from unittest import mock

import httpx
import psycopg
import schemathesis
from hypothesis import assume
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.openapi.loaders import from_url
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance

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

_USES: Final = ("access_tokens", "web_sessions")
"""Tables that record the last use of a token or a session."""

UNDESCRIBED: Final = ("POST /api/jobs", "POST /api/actions", "GET /api/jobs", "POST /api/alerts/silences")
"""The document cannot describe the payloads that the installed executors accept, the filter language, and which alerts
exist."""

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]


def signed_in(trial: Trial) -> None:
    """With a token: valid and invalid requests, with all of schemathesis' checks of the responses."""
    _described(trial, {"x-admin-token": TOKEN}, tuple(GenerationMode))


def signed_out(trial: Trial) -> None:
    """Without a token: valid requests, which write no row."""
    _described(trial, {}, (GenerationMode.POSITIVE,))


def pages(trial: Trial) -> None:
    """Pages and forms of the dashboard, which are not in the document: any parameters, bodies and methods."""
    with _site(trial.surroundings) as (site, owner):
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
            before = every_row(owner, but=_USES)
            address = path.replace("{}", httpx.URL(f"http://x/?{part}").query.decode("ascii", "replace") or "0")
            with site.client.stream(
                method, address, params=_sendable(query), data=_sendable(form) or None, headers=given
            ) as answer:
                content = b"" if path.endswith("/live") else answer.read()
            assert answer.status_code < 500, (answer.status_code, content[:500])
            assert b"Traceback" not in content
            refused = answer.status_code >= 400 or method in ("GET", "HEAD")
            assert not refused or every_row(owner, but=_USES) == before

        methods = st.sampled_from(("GET", "GET", "POST", "POST", "HEAD", "PUT"))
        parts = st.one_of(st.uuids().map(str), st.from_regex(r"[A-Za-z0-9%_-]{0,40}", fullmatch=True))
        trial.each(st.tuples(methods, st.sampled_from(paths), parts, pairs, pairs, headers), check)


def _described(trial: Trial, headers: Mapping[str, str], modes: Sequence[GenerationMode]) -> None:
    with _site(trial.surroundings) as (site, owner):
        document = from_url(f"{site.url}/api/openapi.json", timeout=120)
        operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
        assert len(operations) > 20
        before = every_row(owner, but=_USES)
        for operation in operations:
            for mode in modes:
                if mode is GenerationMode.NEGATIVE and not _may_be_invalid(operation):
                    continue  # Hypothesis would try hundreds of times to generate one
                _ask(trial, operation, mode, headers, 1 / (len(operations) * len(modes)))
        assert headers or every_row(owner, but=_USES) == before


def _may_be_invalid(operation: Operation) -> bool:
    """Whether a request has a part that has invalid values: every text is valid in a header."""
    locations = {parameter.location for parameter in operation.iter_parameters()}
    return bool(operation.body) or bool(locations - {ParameterLocation.HEADER})


def _ask(trial: Trial, operation: Operation, mode: GenerationMode, headers: Mapping[str, str], share: float) -> None:
    def check(case: "schemathesis.Case[Any]") -> None:
        # JSON does not distinguish 5 from 5.0; the generator of invalid values does.
        assume(mode is GenerationMode.POSITIVE or not re.search(r"\d\.0\b", str(case.body)))
        # Without a token on purpose: that makes the request invalid.
        bare = mode is GenerationMode.NEGATIVE and "x-admin-token" not in (case.headers or {})
        excluded: Any = [positive_data_acceptance] if operation.label in UNDESCRIBED else []
        case.call_and_validate(headers={} if bare else dict(headers), timeout=60, excluded_checks=excluded)

    trial.each(operation.as_strategy(generation_mode=mode), check, share=share)


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
def _site(surroundings: Surroundings) -> Iterator[tuple[Site, "psycopg.Connection[Any]"]]:
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
