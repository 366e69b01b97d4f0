"""Errors of the queue. The class determines what the caller should do.

QueueError
├── JobNotFound          CQ001
├── LeaseLost            CQ002  stop working: another attempt owns the job, or it ended
├── InvalidTransition    CQ003
├── DuplicateJob         CQ004  carries `existing_id`
├── InvalidArgument      CQ005  this item is invalid: repeating cannot help
├── SchemaOutOfDate      the database lacks what this code calls: migrate it
├── SchemaTooNew         the database was migrated by newer code: update this code
├── AccessDenied         the key, the login or the role is rejected: waiting does not help
├── DatabaseUnavailable  wait for the database: nothing was done
└── TransportError       the outcome is unknown: repeat on a new connection; every unknown error has this class

Errors are distinguished by SQLSTATE, PostgREST code, HTTP status or exception class, never by message.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final


class QueueError(Exception):
    """Base class; the message states what happened and what to do."""


class JobNotFound(QueueError):
    """There is no such job."""


class LeaseLost(QueueError):
    """The lease token is not the job's any more: stop the attempt."""


class InvalidTransition(QueueError):
    """The job's status does not allow this."""


class DuplicateJob(QueueError):
    """The idempotency key belongs to a job with a different payload.

    Attributes:
        existing_id: That job's id.
    """

    def __init__(self, message: str, existing_id: str | None = None) -> None:
        super().__init__(message)
        self.existing_id = existing_id


class InvalidArgument(QueueError):
    """An argument is out of range, or cannot be encoded as JSON."""


class SchemaOutOfDate(QueueError):
    """The database is not migrated to this release."""


class SchemaTooNew(QueueError):
    """The database was migrated by a newer release of this code."""


class AccessDenied(QueueError):
    """The database rejects the key, the login or the role; nothing was done, and waiting does not help."""


class DatabaseUnavailable(QueueError):
    """The database cannot be reached, or does not work for now; nothing was done, and waiting helps."""


class TransportError(QueueError):
    """The call may or may not have taken effect, and may be repeated on a new connection."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How to handle an error.

    Attributes:
        kind: The exception to raise.
        template: Message with `{code}` and `{message}`.
        tries: Total number of calls by a transport before it raises the error.
        reconnects: Whether the connection must be replaced.
        repeated: The exception to raise instead, if the error repeats within one call.
    """

    kind: type[QueueError]
    template: str = "{message}"
    tries: int = 1
    reconnects: bool = False
    repeated: type[QueueError] | None = None


TRIES: Final = 5
"""Maximum number of calls by a transport for a transient error."""

_INVALID: Final = "Invalid argument: {message}."
_CALL_CANCELLED: Final = "The database cancelled the call ({message}): nothing was done, and the call may be repeated."
_FULL: Final = "The database is out of resources ({message}): nothing was done; add disk space or memory."
_TOO_MANY: Final = "The database has too many clients ({message}): nothing was done; lower COGO_POOL_SIZE."
_STANDBY: Final = "The database is read-only ({message}): it is a standby, or a project whose disk is full."
_NO_DATABASE: Final = "The database does not exist ({message}): check COGO_DATABASE_URL."
_LOGIN: Final = "The database rejected the login ({message}): check user and password in COGO_DATABASE_URL."
_ROLE: Final = "The database denied access to this role ({message}): connect as a role that has service_role."
_MIGRATE: Final = "The database is not migrated for this release ({message}): run `cogo db migrate`."
_BROKE: Final = "The connection to the database broke ({message}): the call may be repeated."
_REST_BROKE: Final = "The connection to Supabase broke ({message}): the call may be repeated."
_REST_UNREACHABLE: Final = "Supabase cannot be reached ({message}): check SUPABASE_URL and the network."
_REST_NO_DATABASE: Final = "Supabase's database does not respond ({code}): nothing was done."
_REST_LOST: Final = "Supabase lost its database ({code}): the call may be repeated."
_GATEWAY: Final = "Supabase's gateway returned {code}: the call may be repeated."
_KEY: Final = (
    "Supabase rejected the key{reason}: set SUPABASE_SERVICE_ROLE_KEY to the secret key (sb_secret_… or the legacy "
    "service_role key) of the project in SUPABASE_URL."
)
_ADDRESS: Final = "SUPABASE_URL is not the address of a Supabase API ({code}): copy it from the project's settings."
_REDIRECTED: Final = "SUPABASE_URL redirects to {message}: set it to that address."
_PAUSED: Final = "The Supabase project is paused: restore it in its dashboard."
_HIDDEN: Final = "The project's API does not expose the schema public: add it in the project's API settings."

UNKNOWN: Final = Rule(
    TransportError, "The database returned {code} ({message}): the call may be repeated.", TRIES, reconnects=True
)

_BROKEN: Final = Rule(TransportError, _BROKE, TRIES, reconnects=True)
_REST_BROKEN: Final = Rule(TransportError, _REST_BROKE, TRIES)
_REST_UNREACHED: Final = Rule(DatabaseUnavailable, _REST_UNREACHABLE, TRIES)
_REST_WITHOUT_DATABASE: Final = Rule(DatabaseUnavailable, _REST_NO_DATABASE, TRIES)
_REST_GATEWAY: Final = Rule(TransportError, _GATEWAY, TRIES)
_DENIED_KEY: Final = Rule(AccessDenied, _KEY)
_ROLLED_BACK: Final = Rule(DatabaseUnavailable, _CALL_CANCELLED, TRIES)
_OUT_OF_TIME: Final = Rule(DatabaseUnavailable, _CALL_CANCELLED)
_OUT_OF_DATE: Final = Rule(SchemaOutOfDate, _MIGRATE)
_UNENCODABLE: Final = Rule(InvalidArgument, _INVALID)
_TOO_COMPLEX: Final = Rule(TransportError, UNKNOWN.template, TRIES, reconnects=True, repeated=InvalidArgument)

TABLE: Final[Mapping[str, Rule]] = {
    # Codes of the queue.
    "CQ001": Rule(JobNotFound),
    "CQ002": Rule(LeaseLost),
    "CQ003": Rule(InvalidTransition),
    "CQ004": Rule(DuplicateJob),
    "CQ005": Rule(InvalidArgument),
    # SQLSTATE: classes, and codes that differ from their class.
    "08": _BROKEN,
    "22": Rule(InvalidArgument, _INVALID),
    "25006": Rule(DatabaseUnavailable, _STANDBY, 2, reconnects=True),
    "28": Rule(AccessDenied, _LOGIN, reconnects=True),
    "3D000": Rule(DatabaseUnavailable, _NO_DATABASE, reconnects=True),
    "40001": _ROLLED_BACK,
    "40P01": _ROLLED_BACK,
    "42501": Rule(AccessDenied, _ROLE, reconnects=True),
    "42703": _OUT_OF_DATE,
    "42883": _OUT_OF_DATE,
    "42P01": _OUT_OF_DATE,
    "53": Rule(DatabaseUnavailable, _FULL, reconnects=True),
    "53300": Rule(DatabaseUnavailable, _TOO_MANY, TRIES, reconnects=True),
    "54": _TOO_COMPLEX,
    "55P03": _OUT_OF_TIME,
    "57014": _OUT_OF_TIME,
    "57P01": _BROKEN,
    "57P02": _BROKEN,
    "57P03": _BROKEN,
    "57P05": _BROKEN,
    # PostgREST. PGRST001 is hasql's ClientError, which occurs only after a statement was sent.
    "PGRST000": _REST_WITHOUT_DATABASE,
    "PGRST001": Rule(TransportError, _REST_LOST, TRIES),
    "PGRST002": _REST_WITHOUT_DATABASE,
    "PGRST003": _REST_WITHOUT_DATABASE,
    "PGRST102": Rule(InvalidArgument, _INVALID),
    "PGRST106": Rule(DatabaseUnavailable, _HIDDEN),
    "PGRST202": _OUT_OF_DATE,
    "PGRST3": _DENIED_KEY,
    # HTTP statuses of a proxy or gateway before PostgREST, if there is no PostgREST code.
    "HTTP 3": Rule(DatabaseUnavailable, _REDIRECTED),
    "HTTP 4": Rule(DatabaseUnavailable, _ADDRESS),
    "HTTP 401": _DENIED_KEY,
    "HTTP 403": _DENIED_KEY,
    "HTTP 408": _REST_GATEWAY,
    "HTTP 413": Rule(TransportError, _GATEWAY, TRIES, repeated=InvalidArgument),
    "HTTP 425": _REST_GATEWAY,
    "HTTP 429": _REST_GATEWAY,
    "HTTP 5": _REST_GATEWAY,
    "HTTP 540": Rule(DatabaseUnavailable, _PAUSED),
    # Exceptions of Python and of the drivers.
    "TypeError": _UNENCODABLE,
    "ValueError": _UNENCODABLE,
    "RecursionError": _UNENCODABLE,
    "psycopg.DataError": _UNENCODABLE,
    "psycopg.Error": _BROKEN,
    "httpx.ConnectError": _REST_UNREACHED,
    "httpx.ConnectTimeout": _REST_UNREACHED,
    "httpx.PoolTimeout": _REST_UNREACHED,
    "httpx.TransportError": _REST_BROKEN,
}
"""All error rules, by code or by the code's prefix; other codes are `UNKNOWN`."""


def rule_of(code: str) -> Rule:
    """Return the rule for a SQLSTATE, a PostgREST code or `HTTP 503`: that of the longest prefix in the table."""
    return next((TABLE[code[:size]] for size in range(len(code), 1, -1) if code[:size] in TABLE), UNKNOWN)


def rule_of_exception(error: BaseException) -> Rule:
    """Return the rule for an exception of Python or of a driver, by its class or the nearest base class."""
    return next((TABLE[name] for name in _names(type(error)) if name in TABLE), UNKNOWN)


def error_of(rule: Rule, code: str, message: str, detail: str | None = None, *, repeats: bool = False) -> QueueError:
    """Return the exception for a rule.

    Args:
        rule: From the table.
        code: SQLSTATE, PostgREST code, HTTP status or class.
        message: The message of the database, the gateway or the driver.
        detail: For CQ004, the ID of the job that has the key.
        repeats: Whether the same error occurred before within this call.
    """
    kind = rule.repeated if repeats and rule.repeated else rule.kind
    template = _INVALID if kind is not rule.kind else rule.template
    text = message if template == "{message}" else message.rstrip(".")
    full = template.format(code=code, message=text, reason=f" ({text})" if text else "")
    return DuplicateJob(full, existing_id=detail) if kind is DuplicateJob else kind(full)


def error_from_sqlstate(sqlstate: str, message: str, detail: str | None = None) -> QueueError:
    """Return the error for a SQLSTATE or a PostgREST code."""
    return error_of(rule_of(sqlstate), sqlstate, message, detail)


def _names(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        yield base.__name__ if package == "builtins" else f"{package}.{base.__name__}"
