"""Checks of a Supabase project: keys, REST and Realtime."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from cogo_dagster.doctor.findings import Finding, failed, ok, unused, warning
from cogo_dagster.net.guarded import RequestFailed, allow_host_of, get
from cogo_dagster.queue.supabase.project import claims_of

_WHERE: Final = "The keys are shown in the settings of the project, under API Keys."


@dataclass(frozen=True, slots=True)
class KeyKind:
    """Kind of a key, and what can be read from it.

    Attributes:
        role: `service_role` or `anon`; None if unknown.
        project: Reference of the project, in a legacy key.
        expires_at: Unix time in seconds, in a legacy key.
    """

    name: str
    role: str | None = None
    project: str | None = None
    expires_at: float | None = None


def kind_of(key: str) -> KeyKind:
    """Return the kind of a key without a request."""
    if key.startswith("sb_secret_"):
        return KeyKind("secret key", "service_role")
    if key.startswith("sb_publishable_"):
        return KeyKind("publishable key", "anon")
    claims = claims_of(key)
    if claims is None:
        return KeyKind("not a key")
    return KeyKind("legacy key (JWT)", claims.get("role"), claims.get("ref"), claims.get("exp"))


def check_keys(url: str, service: str, anon: str | None, publishable: str | None) -> Iterator[Finding]:
    """Check that each key has the expected role and project and has not expired."""
    yield _check_key("service_key", "SUPABASE_SERVICE_ROLE_KEY", service, "service_role", url)
    if anon is None:
        yield unused("anon_key", "Not used: SUPABASE_ANON_KEY is not set, and the edge functions are not called.")
    else:
        yield _check_key("anon_key", "SUPABASE_ANON_KEY", anon, "anon", url)
    if publishable is not None:
        yield _check_key("publishable_key", "SUPABASE_PUBLISHABLE_KEY", publishable, "anon", url)


def check_rest(url: str, service: str) -> Iterator[Finding]:
    """Request the schema release over REST."""
    try:
        headers = {"apikey": service, "authorization": f"Bearer {service}", "user-agent": "cogo-dagster doctor"}
        response = get(f"{url.rstrip('/')}/rest/v1/rpc/schema_version", headers, allowed=allow_host_of(url))
    except RequestFailed as error:
        yield failed(
            "rest", f"The project does not respond: {error}", "Check SUPABASE_URL, and that the project is not paused."
        )
        return
    if response.status == 200:
        yield ok("rest", "The project responds over REST with the service role key.")
    elif response.status in (401, 403):
        yield failed("rest", f"The project rejects SUPABASE_SERVICE_ROLE_KEY ({response.status}).", _WHERE)
    elif response.status == 404:
        yield failed(
            "rest",
            "The SQL functions are not installed in the project.",
            "Run the output of `cogo db sql` in the SQL Editor; if you have just run it, wait a minute.",
        )
    else:
        yield failed("rest", f"The project responds with {response.status} over REST.", "See its status page and logs.")


def check_realtime(url: str, key: str, timeout_seconds: float = 10) -> Iterator[Finding]:
    """Join a private channel of Realtime, as workers do, because a project may allow no public ones."""
    # Slow to import, and used by few commands.
    from websockets.exceptions import WebSocketException  # noqa: PLC0415
    from websockets.sync.client import connect  # noqa: PLC0415

    parts = urlsplit(url)
    scheme = "ws" if parts.scheme == "http" else "wss"
    address = f"{scheme}://{parts.netloc}/realtime/v1/websocket?apikey={quote(key, safe='')}&vsn=1.0.0"
    advice = "Workers poll until then, which starts jobs later. Enable Realtime, then restart the workers."
    try:
        with connect(address, open_timeout=timeout_seconds, close_timeout=1) as socket:
            join = {"topic": "realtime:cogo-doctor", "event": "phx_join", "ref": "1", "join_ref": "1"}
            socket.send(json.dumps(join | {"payload": {"config": {"private": True}, "access_token": key}}))
            deadline = time.monotonic() + timeout_seconds
            while True:
                reply = json.loads(socket.recv(max(0.1, deadline - time.monotonic())))
                if reply.get("event") == "phx_reply" and reply.get("ref") == "1":
                    break
    except (OSError, TimeoutError, ValueError, WebSocketException) as error:
        yield warning("realtime", f"Connecting to Realtime failed ({type(error).__name__}).", advice)
        return
    if reply["payload"].get("status") == "ok":
        yield ok("realtime", "Joined a channel of Realtime.")
    else:
        yield warning("realtime", "Realtime rejected joining a channel.", advice)


def _check_key(check: str, variable: str, key: str, role: str, url: str) -> Finding:
    kind = kind_of(key)
    host = urlsplit(url).hostname or ""
    if kind.role is None:
        return failed(check, f"{variable} is {kind.name}.", _WHERE)
    if kind.role != role:
        return failed(check, f"{variable} is a {kind.name} with the role {kind.role}, not {role}.", _WHERE)
    if kind.expires_at is not None and kind.expires_at < time.time():
        return failed(check, f"{variable} is a {kind.name} that has expired.", _WHERE)
    if kind.project and host.endswith(".supabase.co") and not host.startswith(f"{kind.project}."):
        return failed(check, f"{variable} belongs to the project {kind.project}, not to {host}.", _WHERE)
    return ok(check, f"{variable} is a {kind.name} with the role {role}.")
