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


def from_server_log(log: str, log_file: Path) -> DatabaseUnavailable:
    """Explain a server that did not start by what it logged, as text, before it gave up."""
    if "No space left on device" in log:
        return DatabaseUnavailable(
            "The database did not start because the disk is full: "
            "free some space, or set COGO_HOME to a folder on another disk."
        )
    if "shared memory block" in log and "still in use" in log:
        return DatabaseUnavailable(
            "The database did not start because another server still uses its data: "
            "stop the one that was started by hand, or wait until its last query ends."
        )
    lines = [line for line in log.splitlines() if line.strip()]
    fatal = [index for index, line in enumerate(lines) if "FATAL:" in line or "PANIC:" in line]
    said = " ".join(line.partition("] ")[2] or line for line in lines[fatal[0] if fatal else -1 :][:3])
    return DatabaseUnavailable(f"The database did not start: {said or 'it logged nothing'} (see {log_file}).")
