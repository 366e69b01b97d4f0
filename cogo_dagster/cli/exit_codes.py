"""What the exit code of a command says."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes of every command."""

    OK = 0
    FAILED = 1  # the work failed, or was refused as things are
    BAD_INPUT = 2  # an option, a payload or a setting is wrong
    NOT_COMPUTED = 3  # too little data for an answer
    DATABASE = 4  # the database (or the API that stands for it) cannot be reached, or is not at this release
    ACCESS_DENIED = 5  # the database, or the API that stands for it, refuses the key, the login or the role
    STUCK = 6  # the worker's claim loop did not answer any more, and the worker ended itself
    INTERRUPTED = 130


SUMMARY = (
    "Exit codes: 0 done, 1 failed or refused, 2 wrong option or setting, 3 too little data for an answer, "
    "4 database unavailable or not migrated, 5 access denied, 6 worker stuck, 130 interrupted."
)
