"""The project as one HTTP server on 127.0.0.1, in a thread of the test's process."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import WebSocketRoute

from cogo_dagster.queue.supabase.project import Project
from cogo_dagster_tests.supabase import objects
from cogo_dagster_tests.supabase.faults import App, Faults, Scope
from cogo_dagster_tests.supabase.gateway import UNKNOWN_KEY, authorization, is_known
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.postgrest import Postgrest, RetriedForever
from cogo_dagster_tests.supabase.realtime import Realtime
from cogo_dagster_tests.supabase.responses import RawResponse
from cogo_dagster_tests.supabase.storage import Storage

_THREADS: Final = ThreadPoolExecutor(40, "stand-in")
"""Runs the blocking parts of requests, of all projects of this process."""


@dataclass
class StandIn:
    """A running project.

    Attributes:
        url: SUPABASE_URL.
        realtime: None if the project has no Realtime.
    """

    url: str
    postgrest: Postgrest
    storage: Storage
    realtime: Realtime | None
    faults: Faults

    def project(self, key: str = SERVICE_ROLE) -> Project:
        """Return its address, with a key."""
        return Project(self.url, key)

    def addresses(self) -> list[str]:
        """Return the addresses of all stored artifacts."""
        return sorted(
            f"{self.url}/storage/v1/object/authenticated/{bucket.id}/{key}"
            for bucket in self.storage.buckets.values()
            for key in bucket.objects
            if key.startswith(("jobs/", "reports/"))
        )


@contextmanager
def supabase(
    dsn: str, *, realtime: bool = False, gateway: bool = True, kept: Postgrest | None = None
) -> Iterator[StandIn]:
    """Run a project over a database.

    Args:
        dsn: Of a role with all rights.
        realtime: Whether the database has the schema of Realtime.
        gateway: False passes requests to PostgREST unchanged.
        kept: The PostgREST of this database that is used, and stays open.
    """
    postgrest, storage = kept or Postgrest(dsn), Storage()
    channels = Realtime(dsn) if realtime else None
    faults = Faults(_application(postgrest, storage, channels, gateway=gateway))
    config = uvicorn.Config(
        faults,
        host="127.0.0.1",
        port=0,
        log_config=None,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield StandIn(f"http://127.0.0.1:{_port(server)}", postgrest, storage, channels, faults)
    finally:
        server.should_exit = True
        thread.join(10)
        if channels is not None:
            channels.close()
        if kept is None:
            postgrest.close()
        endless, postgrest.endless = postgrest.endless, []
        assert endless == [], f"A real PostgREST would retry these forever: {endless}"


def _port(server: uvicorn.Server) -> int:
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "The stand-in did not start."
        time.sleep(0.005)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def _application(postgrest: Postgrest, storage: Storage, realtime: Realtime | None, *, gateway: bool) -> App:
    """Return the services; Starlette, whose routes take longer than most calls, serves the socket only."""

    async def rpc(request: Request, name: str) -> RawResponse:
        if gateway and not is_known(request):
            return _document(401, UNKNOWN_KEY)
        body = await request.body()
        allowed = authorization(request) if gateway else request.headers.get("authorization", "")
        try:
            return await _in_thread(postgrest.call, request.method, name, body, allowed, request.headers)
        except RetriedForever:
            return _document(504, {"message": "the request timeout"})

    async def files(request: Request, path: str) -> RawResponse:
        given = objects.Request(
            request.method,
            unquote(path),
            request.url.query,
            request.headers,
            await request.body(),
            authorization(request),
        )
        return await _in_thread(storage.answer, given)

    others = Starlette(routes=[WebSocketRoute("/realtime/v1/websocket", realtime.serve)] if realtime else [])

    async def services(scope: Scope, receive: Any, send: Any) -> None:
        path = scope["path"]
        if scope["type"] == "http" and path.startswith("/storage/v1/"):
            request = Request(scope, receive)
            await _send(send, request, await files(request, request.url.path.removeprefix("/storage/v1")))
        elif scope["type"] == "http" and path.startswith("/rest/v1/rpc/"):
            request = Request(scope, receive)
            await _send(send, request, await rpc(request, path.removeprefix("/rest/v1/rpc/")))
        else:
            await others(scope, receive, send)

    return services


async def _in_thread(function: Callable[..., RawResponse], *arguments: object) -> RawResponse:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function, *arguments)


def _document(status: int, document: object) -> RawResponse:
    return RawResponse(status, json.dumps(document).encode(), (("content-type", "application/json"),))


async def _send(send: Any, request: Request, answer: RawResponse) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in dict(answer.headers).items()
    ]
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})
