"""What can go wrong between a caller and the engine.

QueueError
├── JobNotFound          CQ001
├── LeaseLost            CQ002  stop working: another attempt owns the job, or it ended
├── InvalidTransition    CQ003
├── DuplicateJob         CQ004  carries `existing_id`
├── InvalidArgument      CQ005
├── SchemaOutOfDate      the database lacks what this code calls: migrate it
├── SchemaTooNew         the database was migrated by newer code: update this one
├── DatabaseUnavailable  no connection: nothing was done
└── TransportError       the connection broke in mid-call: the outcome is unknown; every call may be repeated

Errors of the engine are told apart by SQLSTATE, never by message.
"""


class QueueError(Exception):
    """Base of all; the message is one sentence that says what to do."""


class JobNotFound(QueueError):
    """There is no such job."""


class LeaseLost(QueueError):
    """The lease token is not the job's any more: stop working on it."""


class InvalidTransition(QueueError):
    """The job's status does not allow this."""


class DuplicateJob(QueueError):
    """The idempotency key belongs to a job with another payload.

    Attributes:
        existing_id: That job's id.
    """

    def __init__(self, message: str, existing_id: str | None = None) -> None:
        super().__init__(message)
        self.existing_id = existing_id


class InvalidArgument(QueueError):
    """An argument is outside what the function takes."""


class SchemaOutOfDate(QueueError):
    """The database is not migrated, or not far enough."""


class SchemaTooNew(QueueError):
    """The database was migrated by a newer release of this code."""


class DatabaseUnavailable(QueueError):
    """The database cannot be reached or refuses us; nothing was done."""


class TransportError(QueueError):
    """The connection broke during a call; whether it took effect is unknown."""


_BY_SQLSTATE: dict[str, type[QueueError]] = {
    "CQ001": JobNotFound,
    "CQ002": LeaseLost,
    "CQ003": InvalidTransition,
    "CQ004": DuplicateJob,
    "CQ005": InvalidArgument,
}

_GAVE_UP = "The database gave up on the call ({message}): nothing was done, and it may be repeated."

_FULL = "The database has no room left ({message}): nothing was done; give it more disk or memory."

_UNAVAILABLE = {
    "25006": "The database takes no writes ({message}): it is a standby, or a project whose disk is full.",
    **dict.fromkeys(("53100", "53200"), _FULL),
    "42501": "The database refuses this role ({message}): connect as one that has service_role.",
    **dict.fromkeys(("57014", "55P03", "40001", "40P01"), _GAVE_UP),  # out of time, or in another's way
}

_MISSING_SCHEMA = {"42883", "42P01", "42703", "PGRST202"}


def error_from_sqlstate(sqlstate: str, message: str, detail: str | None = None) -> QueueError:
    """Return the error for a SQLSTATE (or a PostgREST code), whichever transport met it."""
    if sqlstate == "CQ004":
        return DuplicateJob(message, existing_id=detail)
    if sqlstate in _BY_SQLSTATE:
        return _BY_SQLSTATE[sqlstate](message)
    if sqlstate.startswith("22"):  # a value that is not of the argument's type, or out of its range
        return InvalidArgument(f"An argument cannot be taken: {message}.")
    if sqlstate in _MISSING_SCHEMA:
        return SchemaOutOfDate(f"The database is not migrated for this release ({message}): run `cogo db migrate`.")
    if sqlstate in _UNAVAILABLE:
        return DatabaseUnavailable(_UNAVAILABLE[sqlstate].format(message=message))
    return QueueError(f"The database answered {sqlstate}: {message}")
