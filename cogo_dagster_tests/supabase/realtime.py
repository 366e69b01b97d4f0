"""Realtime: Phoenix channels over a websocket, which deliver what `realtime.send` wrote into the database."""

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
import psycopg
from starlette.websockets import WebSocket, WebSocketDisconnect

from cogo_dagster_tests.supabase.gateway import authorization, is_known
from cogo_dagster_tests.supabase.keys import SECRET

SCHEMA: Final = """
create schema if not exists realtime;
create table if not exists realtime.messages (
    id bigint generated always as identity primary key, topic text not null, extension text not null, payload jsonb,
    event text, private boolean default false, inserted_at timestamptz not null default now());
alter table realtime.messages enable row level security;
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void language plpgsql as $$
begin
    begin
        execute format('set local realtime.topic to %L', topic);
        insert into realtime.messages (payload, event, topic, private, extension)
        values (payload, event, topic, private, 'broadcast');
    exception when others then
        raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
    end;
end $$;
grant usage on schema realtime to anon, authenticated, service_role;
grant all on all tables in schema realtime to anon, authenticated, service_role;
grant all on all routines in schema realtime to anon, authenticated, service_role;
do $$ begin
    -- In a project service_role bypasses row level security; here it needs a policy.
    create policy service on realtime.messages to service_role using (true) with check (true);
exception when duplicate_object then null;
end $$;
create or replace function realtime.announce() returns trigger language plpgsql as $$
begin
    perform pg_notify('realtime_stand_in', to_jsonb(new)::text);
    return null;
end $$;
create or replace trigger announce after insert on realtime.messages
for each row execute function realtime.announce();
"""
"""The parts of a project's database that broadcasts need; the trigger replaces the write-ahead log."""


@dataclass(eq=False)
class Link:
    """One client's connection and the channels it has joined, by topic."""

    socket: WebSocket
    role: str
    channels: dict[str, bool] = field(default_factory=dict)


class Realtime:
    """All connections of clients. Thread-safe.

    Attributes:
        rejecting: Reject new connections.
        silent: Send nothing, while connections stay open.
        private_only: Reject joins of public channels, as a project can be configured.
        joins: The number of joins.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._links: set[Link] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.rejecting = False
        self.silent = False
        self.private_only = False
        self.joins = 0
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(SCHEMA)
        self._listener = psycopg.connect(dsn, autocommit=True, application_name="realtime stand-in")
        self._listener.execute("listen realtime_stand_in")
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        self._thread.join(5)
        self._listener.close()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it disconnects."""
        self._loop = asyncio.get_running_loop()
        if self.rejecting or not is_known(socket):
            await socket.close(1008)
            return
        await socket.accept()
        link = Link(socket, _role(authorization(socket)))
        self._links.add(link)
        try:
            while True:
                await self._receive(link, json.loads(await socket.receive_text()))
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self._links.discard(link)

    def drop(self) -> None:
        """Break every connection."""
        self._each(lambda link: link.socket.close(1011))

    def close_channels(self) -> None:
        """Close every channel from the server: clients do not join those again."""
        self._each(lambda link: self._notify_channels(link, "phx_close"))

    def error_channels(self) -> None:
        """Let every channel fail."""
        self._each(lambda link: self._notify_channels(link, "phx_error"))

    @property
    def joined(self) -> int:
        """The number of channels that are joined."""
        return sum(len(link.channels) for link in list(self._links))

    async def _receive(self, link: Link, message: Any) -> None:
        topic, event, ref = message["topic"], message["event"], message.get("ref")
        if event == "phx_join":
            private = bool(message["payload"].get("config", {}).get("private"))
            # A token in the message takes precedence; only the gateway can resolve a key that is no JWT.
            token = message["payload"].get("access_token") or "sb_"
            if private and (link.role if token.startswith("sb_") else _role(token)) != "service_role":
                reason = f"Unauthorized: You do not have permissions to read from this Channel topic: {topic}"
                await self._send(link, topic, "phx_reply", {"status": "error", "response": {"reason": reason}}, ref)
                return
            if self.private_only and not private:
                reason = "PrivateOnly: This project only allows private channels"
                await self._send(link, topic, "phx_reply", {"status": "error", "response": {"reason": reason}}, ref)
                return
            self.joins += 1
            link.channels[topic] = private
            await self._send(link, topic, "phx_reply", {"status": "ok", "response": {"postgres_changes": []}}, ref)
        elif event in ("phx_leave", "heartbeat"):
            link.channels.pop(topic, None)
            await self._send(link, topic, "phx_reply", {"status": "ok", "response": {}}, ref)

    async def _send(self, link: Link, topic: str, event: str, payload: Any, ref: Any = None) -> None:
        if not self.silent:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                document = {"topic": topic, "event": event, "payload": payload, "ref": ref}
                await link.socket.send_text(json.dumps(document))

    async def _notify_channels(self, link: Link, event: str) -> None:
        for topic in list(link.channels):
            del link.channels[topic]
            await self._send(link, topic, event, {})

    def _each(self, action: Any) -> None:
        if self._loop is not None:
            for link in list(self._links):
                asyncio.run_coroutine_threadsafe(action(link), self._loop).result(5)

    def _follow(self) -> None:
        with contextlib.suppress(psycopg.Error):
            while not self._closed.is_set():
                for note in self._listener.notifies(timeout=0.05):
                    self._deliver(json.loads(note.payload))

    def _deliver(self, row: Any) -> None:
        topic = f"realtime:{row['topic']}"
        payload = {
            "type": "broadcast",
            "event": row["event"],
            "payload": row["payload"],
            "meta": {"id": str(row["id"])},
        }
        for link in list(self._links):
            if link.channels.get(topic) is row["private"] and self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._send(link, topic, "broadcast", payload), self._loop)


def _role(given: str) -> str:
    try:
        return str(jwt.decode(given.removeprefix("Bearer "), SECRET, algorithms=["HS256"]).get("role", "anon"))
    except jwt.InvalidTokenError:
        return "anon"
