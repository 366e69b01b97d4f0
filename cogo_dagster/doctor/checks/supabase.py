"""A Supabase project, asked piece by piece: its keys, the REST address, Realtime."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from cogo_dagster.doctor.findings import Finding, failed, ok, unused, warning
from cogo_dagster.net.guarded import NoAnswer, get, trusting
from cogo_dagster.queue.supabase.project import claims_of

_WHERE: Final = "The keys are in the project's settings, API Keys."


@dataclass(frozen=True, slots=True)
class KeyKind:
    """What a key says of itself.

    Attributes:
        role: `service_role`, `anon`; None where it does not say.
        project: The project's reference, in a legacy key.
        expires_at: In seconds since 1970, in a legacy key.
    """

    name: str
    role: str | None = None
    project: str | None = None
    expires_at: float | None = None


def kind_of(key: str) -> KeyKind:
    """Tell what a key is, without asking anybody."""
    if key.startswith("sb_secret_"):
        return KeyKind("secret key", "service_role")
    if key.startswith("sb_publishable_"):
        return KeyKind("publishable key", "anon")
    claims = claims_of(key)
    if claims is None:
        return KeyKind("text that is no key")
    return KeyKind("legacy key (JWT)", claims.get("role"), claims.get("ref"), claims.get("exp"))


def check_keys(url: str, service: str, anon: str | None, publishable: str | None) -> Iterator[Finding]:
    """Say of each key whether it is what it should be."""
    yield _checked("service_key", "SUPABASE_SERVICE_ROLE_KEY", service, "service_role", url)
    if anon is None:
        yield unused("anon_key", "SUPABASE_ANON_KEY is not set: the edge functions are not asked.")
    else:
        yield _checked("anon_key", "SUPABASE_ANON_KEY", anon, "anon", url)
    if publishable is not None:
        yield _checked("publishable_key", "SUPABASE_PUBLISHABLE_KEY", publishable, "anon", url)


def check_rest(url: str, service: str) -> Iterator[Finding]:
    """Ask the project for the schema's release over REST."""
    try:
        headers = {"apikey": service, "authorization": f"Bearer {service}", "user-agent": "cogo-dagster doctor"}
        answer = get(f"{url.rstrip('/')}/rest/v1/rpc/schema_version", headers, allowed=trusting(url))
    except NoAnswer as error:
        yield failed("rest", f"The project does not answer: {error}", "Check SUPABASE_URL, and that it is not paused.")
        return
    if answer.status == 200:
        yield ok("rest", "The project answers over REST with the service role key.")
    elif answer.status in (401, 403):
        yield failed("rest", f"The project refuses SUPABASE_SERVICE_ROLE_KEY ({answer.status}).", _WHERE)
    elif answer.status == 404:
        yield failed(
            "rest",
            "The project does not know our SQL functions.",
            "Run what `cogo db sql` prints in the SQL Editor; if it was run just now, wait a minute.",
        )
    else:
        yield failed("rest", f"The project answers {answer.status} over REST.", "Look at its status page and logs.")


def check_realtime(url: str, key: str, timeout_seconds: float = 10) -> Iterator[Finding]:
    """Join a channel and leave; a private one, as workers do, since a project may allow no other."""
    # Few commands need a web socket.
    from websockets.exceptions import WebSocketException  # noqa: PLC0415
    from websockets.sync.client import connect  # noqa: PLC0415

    parts = urlsplit(url)
    scheme = "ws" if parts.scheme == "http" else "wss"
    address = f"{scheme}://{parts.netloc}/realtime/v1/websocket?apikey={quote(key, safe='')}&vsn=1.0.0"
    advice = "Workers poll meanwhile, so only the wake-up is slower; see that Realtime is on, then restart the worker."
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
        yield warning("realtime", f"Realtime does not let us in ({type(error).__name__}).", advice)
        return
    if reply["payload"].get("status") == "ok":
        yield ok("realtime", "Realtime lets us join a channel.")
    else:
        yield warning("realtime", "Realtime refuses to let us join a channel.", advice)


def _checked(check: str, variable: str, key: str, role: str, url: str) -> Finding:
    kind = kind_of(key)
    host = urlsplit(url).hostname or ""
    if kind.role is None:
        return failed(check, f"{variable} is {kind.name}.", _WHERE)
    if kind.role != role:
        return failed(check, f"{variable} is a {kind.name} of the role {kind.role}, not {role}.", _WHERE)
    if kind.expires_at is not None and kind.expires_at < time.time():
        return failed(check, f"{variable} is a {kind.name} that has expired.", _WHERE)
    if kind.project and host.endswith(".supabase.co") and not host.startswith(f"{kind.project}."):
        return failed(check, f"{variable} belongs to the project {kind.project}, not to {host}.", _WHERE)
    return ok(check, f"{variable} is a {kind.name} of the role {role}.")
