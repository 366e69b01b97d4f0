"""What goes wrong around the embedded server, said in one sentence."""

import errno
from pathlib import Path

from cogo_dagster.queue.errors import DatabaseUnavailable


def from_os_error(error: OSError, doing: str) -> DatabaseUnavailable:
    """Turn an error of the operating system met while `doing` something into one that says what to do."""
    place = f" ({error.filename})" if error.filename else ""
    advice = {
        errno.ENOSPC: "the disk is full: free some space, or set COGO_HOME to a folder on another disk",
        errno.EDQUOT: "the disk quota is used up: free some space, or set COGO_HOME to a folder on another disk",
        errno.EROFS: "the folder is read-only: set COGO_HOME to a folder you may write",
        errno.EACCES: "permission denied: run as the owner of the folder, or set COGO_HOME to a folder of your own",
        errno.EPERM: "not permitted: run as the owner of the folder, or set COGO_HOME to a folder of your own",
        errno.ENOEXEC: "these binaries are for another platform: set COGO_DATABASE_URL to a Postgres of your own",
        errno.ENOLCK: "its file system cannot lock files: set COGO_HOME to a folder on a local disk",
    }.get(error.errno or 0, f"{error.strerror or error}.".rstrip("."))
    return DatabaseUnavailable(f"Cannot {doing}{place}: {advice}.")


def from_output(output: str, doing: str, log_file: Path | None = None) -> DatabaseUnavailable:
    """Turn what a program of PostgreSQL wrote before it gave up `doing` something into what to do.

    Args:
        output: All it wrote.
        doing: What it was asked to do, as `start the database`.
        log_file: Where to read more.
    """
    see = f" (see {log_file})" if log_file else ""
    if "No space left on device" in output:
        return from_os_error(OSError(errno.ENOSPC, ""), doing)
    if "shared memory block" in output and "still in use" in output:
        return DatabaseUnavailable(
            f"Cannot {doing}: another server still uses its data, "
            f"so stop the one started by hand, or wait until its last query ends{see}."
        )
    lines = [line for line in output.splitlines() if line.strip()]
    fatal = (at for at, line in enumerate(lines) if any(word in line for word in ("FATAL:", "PANIC:", "error:")))
    said = " ".join(line.partition("] ")[2] or line for line in lines[next(fatal, -1) :][:3])
    return DatabaseUnavailable(f"Cannot {doing}: {said or 'it said nothing'}{see}.")
