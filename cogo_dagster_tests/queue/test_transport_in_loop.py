"""Calls of the Postgres transport whose replies the event loop reads."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import cast
from unittest.mock import Mock
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.decoding import decode
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports import postgres
from cogo_dagster.queue.transports.base import TypedCall
from cogo_dagster.queue.transports.in_loop import LoopCall
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.worker.calls import Calls
from cogo_dagster_tests.worker.faults import Proxy


@pytest.fixture
def transport(proxy: Proxy) -> Iterator[PostgresTransport]:
    """Yield a transport through the proxy, with one open connection and no more."""
    transport = PostgresTransport(proxy.dsn, role="service_role", max_connections=1)
    Queue(transport).schema_version()
    yield transport
    transport.close()


async def reply_of(transport: PostgresTransport, function: str, arguments: Mapping[str, object]) -> Json:
    """Return the decoded reply of one call; raise the reason why there is none."""
    future = asyncio.get_running_loop().create_future()

    def ended(reply: bytes | None, error: Exception | None) -> None:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(None if reply is None else decode(reply))

    assert transport.start(function, arguments, ended) is not None
    return await future


def test_a_reply_is_that_of_a_call_in_a_thread(transport: PostgresTransport) -> None:
    """The first call prepares a statement, and the second uses it; null is None."""
    arguments = {"families": ["noop"], "executor_id": None}
    settled: dict[str, Json] = {"job_ids": [], "lease_tokens": [], "run_seconds": []}

    async def twice() -> list[Json]:
        return [await reply_of(transport, "next_due", arguments) for _ in range(2)]

    assert asyncio.run(twice()) == [transport.call("next_due", arguments)] * 2
    assert asyncio.run(reply_of(transport, "succeed_jobs", settled)) is None


def test_a_request_longer_than_the_buffers_of_the_connection_is_sent(transport: PostgresTransport) -> None:
    """The rest is written when the socket takes more."""
    payloads = [{"text": "x" * 100_000} for _ in range(200)]
    arguments = {"types": ["noop"], "payloads": payloads, "request_id": str(uuid4())}
    assert len(asyncio.run(reply_of(transport, "enqueue_columns", arguments))["job_ids"]) == 200


def test_no_call_is_started_without_a_free_connection(transport: PostgresTransport) -> None:
    """The caller makes it in a thread, which waits for a connection or opens one."""

    async def start() -> tuple[object, object]:
        first = transport.start("queue_stats", {}, lambda *_: None)
        second = transport.start("queue_stats", {}, lambda *_: None)
        assert first is not None
        first.abandon()
        return first, second

    assert asyncio.run(start())[1] is None
    assert Queue(transport).schema_version()  # the connection of the abandoned call is replaced


def test_a_call_that_cannot_be_sent_and_is_abandoned_ends_once(
    transport: PostgresTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is returned once, so that the pool opens no more than its size."""
    monkeypatch.setattr(LoopCall, "_flush", Mock(side_effect=psycopg.OperationalError("broken pipe")))

    async def start() -> list[Exception | None]:
        errors = list[Exception | None]()
        call = transport.start("queue_stats", {}, lambda _, error: errors.append(error))
        assert call is not None
        call.abandon()
        await asyncio.sleep(0.01)
        return errors

    assert len(asyncio.run(start())) == 1
    assert transport._pool._permits.qsize() == 1


def test_an_argument_that_is_not_json_is_left_to_the_general_call(transport: PostgresTransport) -> None:
    """The connection stays free."""

    async def start() -> object:
        return transport.start("queue_stats", {"x": object()}, lambda *_: None)

    assert asyncio.run(start()) is None
    assert Queue(transport).schema_version()


def wrong(proxy: Proxy, dsn: str, way: str) -> None:
    """Let the next call fail in one way."""
    if way == "terminated":
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'cogo'"
            )
    elif way == "cut":
        proxy.lose_reply_to("next_due")
    elif way == "silent":
        proxy.silence()


@pytest.mark.parametrize("way", ["rejected", "terminated", "cut", "silent"])
def test_a_failed_call_is_made_again_in_a_thread(
    transport: PostgresTransport, proxy: Proxy, dsn: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Whatever the failure is, the general call has its rules; the future gets the result of that call."""
    monkeypatch.setattr(postgres, "REPLY_SECONDS", 0.3)
    monkeypatch.setattr(postgres, "_FIRST_PAUSE_SECONDS", 0.001)
    function = "no_such_function" if way == "rejected" else "next_due"
    monkeypatch.setitem(cast("dict[str, Mapping[str, str]]", FUNCTIONS), "no_such_function", {})
    arguments: dict[str, Json] = {} if way == "rejected" else {"families": ["noop"], "executor_id": None}
    wrong(proxy, dsn, way)
    repeated = []

    def again() -> Json:
        repeated.append(True)
        return Queue(transport).next_due(["noop"])

    async def call() -> Json:
        calls = Calls(on_outage=lambda _: None)
        try:
            return await calls.in_loop(transport, TypedCall(function, arguments, lambda found: found["seconds"]), again)
        finally:
            calls.close()

    assert asyncio.run(call()) is None
    assert repeated


def test_a_call_in_progress_ends_with_the_worker(transport: PostgresTransport, dsn: str) -> None:
    """Its connection returns to the pool of the process, which may run another worker."""

    async def begin() -> None:
        calls = Calls(on_outage=lambda _: None)
        calls.in_loop(transport, TypedCall("queue_stats", {}, lambda found: found), lambda: None)
        calls.close()

    asyncio.run(begin())
    assert Queue(transport).schema_version()


def test_a_call_gets_the_connection_whose_session_has_its_plan(dsn: str) -> None:
    """Claims and settlements, which run side by side, do not plan each other's statements again."""
    transport = PostgresTransport(dsn, role="service_role", max_connections=2)
    pool = transport._pool
    first, second = pool.take(1), pool.take(1)
    for taken, function in ((first, "claim_jobs"), (second, "succeed_jobs")):
        taken.functions.add(function)
        pool.put_back(taken)
    assert [pool.take(1, "claim_jobs"), pool.take(1, "claim_jobs")] == [first, second]
    for taken in (second, first):
        pool.put_back(taken)
    assert pool.take_idle("succeed_jobs") is second
    assert pool.take_idle("succeed_jobs") is first
    assert pool.take_idle("succeed_jobs") is None
    for taken in (first, second):
        taken.connection.close()
        pool.put_back(taken)
    transport.close()
