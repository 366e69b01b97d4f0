"""The project as one HTTP server on 127.0.0.1, in a thread of the test's process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from cogo_dagster.queue.supabase.project import Project
from cogo_dagster_tests.supabase import objects
from cogo_dagster_tests.supabase.faults import Faults
from cogo_dagster_tests.supabase.gateway import UNKNOWN_KEY, authorization, is_known
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.postgrest import Postgrest, RetriedForever
from cogo_dagster_tests.supabase.realtime import Realtime
from cogo_dagster_tests.supabase.responses import RawResponse
from cogo_dagster_tests.supabase.storage import Storage

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


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


def _application(postgrest: Postgrest, storage: Storage, realtime: Realtime | None, *, gateway: bool) -> Starlette:
    async def rpc(request: Request) -> Response:
        if gateway and not is_known(request):
            return JSONResponse(UNKNOWN_KEY, 401)
        body = await request.body()
        allowed = authorization(request) if gateway else request.headers.get("authorization", "")
        name = request.path_params["name"]
        try:
            answer = await run_in_threadpool(postgrest.call, request.method, name, body, allowed, request.headers)
        except RetriedForever:
            return JSONResponse({"message": "the request timeout"}, 504)
        return _response(request, answer)

    async def files(request: Request) -> Response:
        given = objects.Request(
            request.method,
            unquote(request.url.path).removeprefix("/storage/v1"),
            request.url.query,
            request.headers,
            await request.body(),
            authorization(request),
        )
        return _response(request, await run_in_threadpool(storage.answer, given))

    routes: list[Any] = [
        Route("/rest/v1/rpc/{name}", rpc, methods=_METHODS),
        Route("/storage/v1/{path:path}", files, methods=_METHODS),
    ]
    if realtime is not None:
        routes.append(WebSocketRoute("/realtime/v1/websocket", realtime.serve))
    return Starlette(routes=routes)


def _response(request: Request, answer: RawResponse) -> Response:
    headers = dict(answer.headers)
    if request.method == "HEAD":
        headers["content-length"] = str(len(answer.body))
        return Response(b"", answer.status, headers)
    return Response(answer.body, answer.status, headers)
