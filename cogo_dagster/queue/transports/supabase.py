"""The transport over a Supabase project's REST address: supabase-py's RPC with the service key."""

import json
import random
import time
from collections.abc import Mapping
from threading import local
from typing import Any, Final

import httpx
from postgrest.exceptions import APIError
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions

from cogo_dagster.queue.errors import (
    DatabaseUnavailable,
    InvalidArgument,
    QueueError,
    SchemaOutOfDate,
    TransportError,
    error_from_sqlstate,
)
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.supabase.project import Project

_TRIES: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 15.0

_TIMEOUT: Final = httpx.Timeout(connect=5, read=25, write=25, pool=10)
"""A call ends within 8 s at the database, after up to 10 s in PostgREST's own queue for a connection."""

_NOTHING_DONE: Final = ("PGRST000", "PGRST002", "PGRST003", "53300", "40001", "40P01")
"""PostgREST has no connection to the database, or the database has rolled the call back."""

_OUTCOME_UNKNOWN: Final = ("PGRST001", "08", "57P01", "57P02", "57P03")
"""The connection broke under the call, at its commit perhaps: PGRST001 is hasql's ClientError, which only a statement
that was sent can meet (PostgREST/postgrest, src/PostgREST/Error.hs)."""

_GATEWAY_TROUBLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531), 544})
"""Statuses of what stands before PostgREST, when they come without a code of PostgREST's."""

_WRONG_KEY: Final = (
    "Supabase refuses the key{reason}: give SUPABASE_SERVICE_ROLE_KEY the secret key (sb_secret_… or the legacy "
    "service_role key) of the project that SUPABASE_URL names."
)
_WRONG_ADDRESS: Final = (
    "SUPABASE_URL does not lead to a Supabase project's API (HTTP {status}): check it in the project's settings."
)
_SENTENCES: Final[Mapping[str, tuple[type[QueueError], str]]] = {
    "42501": (DatabaseUnavailable, _WRONG_KEY),
    "PGRST102": (InvalidArgument, "An argument cannot be taken: {message}."),
    "PGRST106": (
        DatabaseUnavailable,
        "The project's API does not show the schema public: expose it in the project's API settings.",
    ),
}
MIGRATE: Final = (
    "run the script that `cogo db sql` prints in the SQL Editor, or `cogo db migrate` with COGO_DATABASE_URL"
)
"""What mends a schema that is not this release's, where there is no connection to migrate over."""


class SupabaseTransport:
    """Calls the engine through PostgREST.

    A call whose reply was lost, or that the gateway turned away, is repeated: every function stands a repeat.

    Args:
        project: Where, and with which key.
        timeout: Of one try.
        first_pause_seconds: Wait before the first repeat; each further wait is three times as long.
    """

    def __init__(
        self, project: Project, *, timeout: httpx.Timeout = _TIMEOUT, first_pause_seconds: float = _FIRST_PAUSE_SECONDS
    ) -> None:
        self._first_pause_seconds = first_pause_seconds
        # supabase-py's errors do not say the HTTP status: each thread keeps its last response.
        self._seen = local()
        self._http = project.http_client(timeout, event_hooks={"response": [self._see]})
        self._client: Client = create_client(
            project.url,
            project.key,
            SyncClientOptions(httpx_client=self._http, auto_refresh_token=False, persist_session=False),
        )
        self._rest = self._client.postgrest  # made here, since two threads would make two

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call one function; see `Transport.call`."""
        pause_seconds = self._first_pause_seconds
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                return self._once(function, arguments)
            except _PassingError as passing:
                if not tries_left:
                    raise passing.error from passing.__cause__
                at_least_seconds = passing.at_least_seconds
            time.sleep(at_least_seconds + pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause_seconds *= 3
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _see(self, response: httpx.Response) -> None:
        self._seen.response = response

    def _once(self, function: str, arguments: Mapping[str, Json]) -> Json:
        self._seen.response = None
        json.dumps(arguments)  # as strict as over a connection: supabase-py would quietly make text of bytes and dates
        try:
            answer = self._rest.rpc(function, dict(arguments)).execute()
        except APIError as error:
            raise _refusal(error, self._seen.response) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            sentence = f"Supabase cannot be reached ({_reason(error)}): check SUPABASE_URL and the network."
            raise _PassingError(DatabaseUnavailable(sentence)) from error
        except httpx.TransportError as error:
            sentence = f"The connection to Supabase broke ({_reason(error)}): the call may be repeated."
            raise _PassingError(TransportError(sentence)) from error
        except ValueError as error:  # no JSON can say it: NaN, half a surrogate pair
            raise InvalidArgument(f"An argument cannot be taken: {error}.") from error
        return _document(answer.data, self._seen.response)


class _PassingError(Exception):
    """Trouble that may pass: what to raise if it does not, and how long the server asked to wait."""

    def __init__(self, error: QueueError, at_least_seconds: float = 0) -> None:
        super().__init__(str(error))
        self.error = error
        self.at_least_seconds = at_least_seconds


def _document(data: Any, response: httpx.Response) -> Json:
    """Return the answer's document, unless something between us and PostgREST has answered in its place."""
    kind = response.headers.get("content-type", "")
    if response.status_code != 200 or not kind.startswith("application/json") or isinstance(data, str):
        sentence = f"Something before Supabase answered in its place (HTTP {response.status_code}, {kind or 'empty'})."
        raise _PassingError(TransportError(f"{sentence} The call may be repeated."))
    return data


def _refusal(error: APIError, response: httpx.Response) -> Exception:
    """Return what an error answer means: by PostgREST's code, and where there is none by the HTTP status."""
    status = response.status_code
    code = error.code or ""
    if not code or code == str(status):
        return _gateway_refusal(status, response)
    message = str(error.message)
    if code.startswith(_NOTHING_DONE):
        return _PassingError(DatabaseUnavailable(f"Supabase's database does not answer ({code}): nothing was done."))
    if code.startswith(_OUTCOME_UNKNOWN):
        return _PassingError(TransportError(f"Supabase lost its database ({code}): the call may be repeated."))
    if status == 401:
        return DatabaseUnavailable(_WRONG_KEY.format(reason=f" ({message})"))
    return _by_code(code, message, error.details)


def _by_code(code: str, message: str, details: Any) -> QueueError:
    if code in _SENTENCES:
        kind, sentence = _SENTENCES[code]
        return kind(sentence.format(reason=f" ({message})", message=message))
    found = error_from_sqlstate(code, message, details)
    if isinstance(found, SchemaOutOfDate):
        return SchemaOutOfDate(f"The database is not migrated for this release ({message.rstrip('.')}): {MIGRATE}.")
    return found


def _gateway_refusal(status: int, response: httpx.Response) -> Exception:
    if status == 401:
        return DatabaseUnavailable(_WRONG_KEY.format(reason=""))
    if status == 540:
        return DatabaseUnavailable("The Supabase project is paused: restore it in its dashboard.")
    if 300 <= status < 400:
        target = response.headers.get("location", "another address")
        return DatabaseUnavailable(f"SUPABASE_URL is redirected to {target.partition('?')[0]}: set it to that address.")
    if status in _GATEWAY_TROUBLE:
        sentence = f"Supabase's gateway answered HTTP {status}: the call may be repeated."
        return _PassingError(TransportError(sentence), _retry_after_seconds(response))
    return DatabaseUnavailable(_WRONG_ADDRESS.format(status=status))


def _retry_after_seconds(response: httpx.Response) -> float:
    asked = response.headers.get("retry-after", "")
    return min(float(asked), _LONGEST_WAIT_SECONDS) if asked.isdecimal() else 0.0


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
