"""The error rules, tested over both transports with every class of SQLSTATE that PostgreSQL raises."""

from collections.abc import Callable, Iterator

import pytest

from cogo_dagster.queue.decoding import PartlyUnreadable
from cogo_dagster.queue.errors import (
    TABLE,
    UNKNOWN,
    AccessDenied,
    DatabaseUnavailable,
    DuplicateJob,
    InvalidArgument,
    InvalidTransition,
    JobNotFound,
    LeaseLost,
    QueueError,
    SchemaOutOfDate,
    TransportError,
    error_of,
    rule_of,
    rule_of_exception,
)
from cogo_dagster.queue.transports import postgres
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.supabase.server import StandIn

CLASSES = """
01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72
F0 HV P0 XX
"""
# The classes of PostgreSQL's errcodes.txt, except 00, which cannot be raised.

SINGLE_CODES = """
0A000 22003 22P02 23505 23514 25001 25006 25P02 25P03 25P04 26000 28000 28P01 3D000 40001 40003 40P01 42501 42703 42883
42P01 42P05 53100 53200 53300 53400 54000 54001 55000 55006 55P03 55P04 57000 57014 57P01 57P02 57P03 57P04 57P05 58000
58030 P0001 P0004 XX000 XX001 XX002 ZZ999
"""

CODES = (*(f"{known}999" for known in CLASSES.split()), *SINGLE_CODES.split())

EXPECTED: dict[str, type[QueueError]] = {
    "22": InvalidArgument,
    "25006": DatabaseUnavailable,
    "28": AccessDenied,
    "3D000": DatabaseUnavailable,
    "40001": DatabaseUnavailable,
    "40P01": DatabaseUnavailable,
    "42501": AccessDenied,
    "42703": SchemaOutOfDate,
    "42883": SchemaOutOfDate,
    "42P01": SchemaOutOfDate,
    "53": DatabaseUnavailable,
    "54": InvalidArgument,  # since it is raised repeatedly
    "55P03": DatabaseUnavailable,
    "57014": DatabaseUnavailable,
}
"""By code or class; calls with other codes may be repeated."""

RAISE = """
create table public.raised (code text, times int);
create sequence public.tries;
create or replace function public.schema_version() returns jsonb language plpgsql security definer as $$
begin
    if nextval('public.tries') <= (select times from public.raised) then
        raise exception 'Something is the matter' using errcode = (select code from public.raised);
    end if;
    return '{"ready": 0}';
end $$;
"""

Raising = Callable[[str, int], None]


@pytest.fixture(params=["postgres", "supabase"])
def transport(
    request: pytest.FixtureRequest, dsn: str, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    """Yield each transport, retrying without pauses, with a schema_version that raises errors."""
    owner.execute(RAISE)
    monkeypatch.setattr(postgres, "_FIRST_PAUSE_SECONDS", 0.0001)
    transport: Transport
    if request.param == "supabase":
        stand_in: StandIn = request.getfixturevalue("stand_in")
        transport = SupabaseTransport(stand_in.project(), first_pause_seconds=0.0001)
    else:
        transport = PostgresTransport(dsn, role="service_role")
    yield transport
    transport.close()


@pytest.fixture
def raising(owner: Owner) -> Raising:
    """Let schema_version raise a code in its next calls."""

    def raising(code: str, times: int) -> None:
        owner.execute("delete from public.raised")
        owner.execute("insert into public.raised values (%s, %s)", (code, times))
        owner.execute("alter sequence public.tries restart")

    return raising


def expected(code: str) -> type[QueueError]:
    """Return the error for a code that is raised in every attempt."""
    return EXPECTED.get(code) or EXPECTED.get(code[:2]) or TransportError


def test_every_code_of_postgresql_has_the_error_of_its_rule() -> None:
    """A persistent error has one of four classes; a call with an unlisted code may be repeated."""
    found = {code: type(error_of(rule_of(code), code, "too much", repeats=True)) for code in CODES}
    assert found == {code: expected(code) for code in CODES}


def test_every_rule_is_applied(transport: Transport, raising: Raising) -> None:
    """A persistent error is raised as the error of its rule after the last attempt."""
    found: dict[str, str] = {}
    wanted: dict[str, str] = {}
    endless = () if isinstance(transport, PostgresTransport) else ("40001", "40P01")  # PostgREST itself repeats them
    for code in {rule_of(code): code for code in CODES if code not in endless}.values():
        raising(code, 1_000)
        with pytest.raises(QueueError) as refused:
            transport.call("schema_version", {})
        found[code], wanted[code] = type(refused.value).__name__, expected(code).__name__
        assert "Something is the matter" in str(refused.value) or code in str(refused.value), str(refused.value)
    assert found == wanted


def test_a_transient_error_is_not_raised(transport: Transport, raising: Raising) -> None:
    """The call succeeds after one error, unless the rule has no retries."""
    lasting = []
    for code in CODES:
        raising(code, 1)
        try:
            assert transport.call("schema_version", {}) == {"ready": 0}
        except QueueError:
            lasting.append(code)
    at_once = ("22", "28", "53", "3D000", "42501", "42703", "42883", "42P01", "55P03", "57014")
    assert lasting == [code for code in CODES if code.startswith(at_once) and code != "53300"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("CQ001", JobNotFound),
        ("CQ002", LeaseLost),
        ("CQ003", InvalidTransition),
        ("CQ004", DuplicateJob),
        ("CQ005", InvalidArgument),
    ],
)
def test_errors_of_the_queue_are_raised_at_once(
    transport: Transport, raising: Raising, owner: Owner, code: str, kind: type[QueueError]
) -> None:
    """They are raised after one attempt with their own message."""
    raising(code, 1_000)
    with pytest.raises(kind, match=r"^Something is the matter$"):
        transport.call("schema_version", {})
    assert owner.execute("select last_value from public.tries").fetchone() == (1,)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()], ids=["bytes", "set", "object"])
def test_a_value_that_json_cannot_encode_is_an_invalid_argument(transport: Transport, value: object) -> None:
    """So are a thousand levels of nesting and overlong numbers."""
    deep: object = []
    for _ in range(5_000):
        deep = [deep]
    for argument in (value, deep, 10**5_000):
        with pytest.raises(InvalidArgument, match=r"^Invalid argument"):
            transport.call("enqueue_jobs", {"jobs": argument})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *(("HTTP " + str(status), AccessDenied) for status in (401, 403)),
        *((f"PGRST3{number:02}", AccessDenied) for number in (0, 1, 2, 3)),
        *(("HTTP " + str(status), TransportError) for status in (408, 413, 425, 429, 500, 502, 503, 520, 544, 599)),
        *(("HTTP " + str(status), DatabaseUnavailable) for status in (301, 400, 404, 405, 540)),
        *((f"PGRST00{number}", DatabaseUnavailable) for number in (0, 2, 3)),
        *((code, TransportError) for code in ("PGRST001", "PGRSTX00", "PGRST116", "PT503", "HTTP 200", "?", "")),
        ("PGRST102", InvalidArgument),
        ("PGRST202", SchemaOutOfDate),
    ],
)
def test_responses_of_a_gateway_have_the_error_of_their_rule(code: str, kind: type[QueueError]) -> None:
    """The rule is that of PostgREST's code, or of the status without a code."""
    assert rule_of(code).kind is kind


def test_only_a_repeated_error_is_attributed_to_the_item() -> None:
    """A statement that is too complex or a body that is too large may be a coincidence once."""
    for code in ("54001", "HTTP 413"):
        assert type(error_of(rule_of(code), code, "too large")) is TransportError
        assert type(error_of(rule_of(code), code, "too large", repeats=True)) is InvalidArgument


def test_exceptions_are_distinguished_by_class() -> None:
    """Exceptions of drivers have the rule of the nearest base class; others may be repeated."""
    assert rule_of_exception(UnicodeEncodeError("utf-8", "", 0, 1, "")).kind is InvalidArgument
    assert rule_of_exception(OSError()) is rule_of_exception(MemoryError()) is UNKNOWN
    assert UNKNOWN.kind is TransportError


def test_every_message_of_the_rules_can_be_formatted() -> None:
    """The database's message may contain braces."""
    for code, rule in TABLE.items():
        assert str(error_of(rule, code, "a {brace} and 100 %."))


@pytest.mark.parametrize("value", ["'1e5000'::numeric", "(repeat('[', 1200) || repeat(']', 1200))::jsonb"])
def test_values_that_python_cannot_parse_are_marked(transport: Transport, owner: Owner, value: str) -> None:
    """A huge number or a thousand levels in one row fail neither the call nor the other rows."""
    owner.execute(
        "create or replace function public.schema_version() returns jsonb language plpgsql as $$ begin return"
        f" jsonb_build_array(jsonb_build_object('a', {value}), jsonb_build_object('a', 1)); end $$"
    )
    sick, sound = transport.call("schema_version", {})
    assert (type(sick), sound) == (PartlyUnreadable, {"a": 1})
