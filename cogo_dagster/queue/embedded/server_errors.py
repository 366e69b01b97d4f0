"""Messages for errors of the embedded server."""

import errno
from pathlib import Path

from cogo_dagster.queue.errors import DatabaseUnavailable


def from_os_error(error: OSError, doing: str) -> DatabaseUnavailable:
    """Return the error for an OSError raised while `doing` something, with a message that states what to do."""
    place = f" ({error.filename})" if error.filename else ""
    advice = {
        errno.ENOSPC: "the disk is full: free some space, or set COGO_HOME to a folder on another disk",
        errno.EDQUOT: "the disk quota is exceeded: free some space, or set COGO_HOME to a folder on another disk",
        errno.EROFS: "the folder is read-only: set COGO_HOME to a writable folder",
        errno.EACCES: "permission denied: run as the owner of the folder, or set COGO_HOME to your own folder",
        errno.EPERM: "not permitted: run as the owner of the folder, or set COGO_HOME to your own folder",
        errno.ENOEXEC: "these programs are for another platform: set COGO_DATABASE_URL to your own Postgres",
        errno.ENOLCK: "the file system does not support file locks: set COGO_HOME to a folder on a local disk",
    }.get(error.errno or 0, f"{error.strerror or error}.".rstrip("."))
    return DatabaseUnavailable(f"Cannot {doing}{place}: {advice}.")


def from_output(output: str, doing: str, log_file: Path | None = None) -> DatabaseUnavailable:
    """Return the error for the output of a PostgreSQL program that failed while `doing` something.

    Args:
        output: The program's output.
        doing: What it did, such as `start the database`.
        log_file: The log to point to.
    """
    see = f" (see {log_file})" if log_file else ""
    if "No space left on device" in output:
        return from_os_error(OSError(errno.ENOSPC, ""), doing)
    if "shared memory block" in output and "still in use" in output:
        return DatabaseUnavailable(
            f"Cannot {doing}: another server still uses its data, "
            f"so stop the other server, or wait until its last query ends{see}."
        )
    lines = [line for line in output.splitlines() if line.strip()]
    fatal = (at for at, line in enumerate(lines) if any(word in line for word in ("FATAL:", "PANIC:", "error:")))
    message = " ".join(line.partition("] ")[2] or line for line in lines[next(fatal, -1) :][:3])
    return DatabaseUnavailable(f"Cannot {doing}: {message or 'the program printed no error'}{see}.")
