"""Calls whose replies the event loop reads itself.

A call in a thread is handed to the thread and back; each time a thread has to wake up and to wait for the GIL.
"""

import asyncio
from typing import Final, NamedTuple

import psycopg
from psycopg.pq import ExecStatus

from cogo_dagster.queue.connect import Connection
from cogo_dagster.queue.transports.base import Ended

_OK: Final = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class NotAnswered(Exception):
    """A call in the event loop had no reply or an error: it is to be repeated by `call`, which knows what to do."""


class Statement(NamedTuple):
    """A prepared statement: its name in the session, and its text if it has to be prepared first."""

    name: bytes
    text: bytes | None


class LoopCall:
    """One call on one connection, which is closed if a reply does not arrive.

    Args:
        connection: Not used by others until the end.
        document: The only parameter of the statement.
        ended: Called once, in the loop.
        seconds: Timeout of the reply.
    """

    def __init__(
        self, connection: Connection, statement: Statement, document: bytes, ended: Ended, *, seconds: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pgconn = connection.pgconn
        self._socket = self._pgconn.socket
        self._name, self._text = statement
        self._document = document
        self._ended = ended
        self._reply: bytes | None = None
        self._problem: Exception | None = None
        self._is_writing = self._is_over = False
        self._timer = self._loop.call_later(seconds, self._lose, NotAnswered(f"no response within {seconds:.2g} s"))
        self._loop.add_reader(self._socket, self._read)
        self._send()

    def _send(self) -> None:
        try:
            if self._text is not None:
                self._pgconn.send_prepare(self._name, self._text)
            else:
                self._pgconn.send_query_prepared(self._name, [self._document])
            self._flush()
        except psycopg.Error as error:
            self._loop.call_soon(self._lose, error)

    def _flush(self) -> None:
        """Send what the socket takes; the rest when it takes more."""
        if self._pgconn.flush():
            if not self._is_writing:
                self._is_writing = True
                self._loop.add_writer(self._socket, self._write)
        elif self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._socket)

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._lose(error)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._answered()
                    return
                if result.status not in _OK:
                    self._problem = NotAnswered(result.error_message.decode("utf-8", "replace"))
                elif result.ntuples:
                    self._reply = result.get_value(0, 0)
        except psycopg.Error as error:
            self._lose(error)

    def _answered(self) -> None:
        if self._text is not None and self._problem is None:
            self._text = None
            self._send()
            return
        self._release()
        self._ended(self._reply, self._problem)

    def abandon(self) -> None:
        """End the call without a reply."""
        self._lose(NotAnswered("the call was abandoned"))

    def _lose(self, error: Exception) -> None:
        if self._is_over:  # abandoned between a failed write and its report
            return
        self._release()
        self._pgconn.finish()
        self._ended(None, error)

    def _release(self) -> None:
        self._is_over = True
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        if self._is_writing:
            self._loop.remove_writer(self._socket)
