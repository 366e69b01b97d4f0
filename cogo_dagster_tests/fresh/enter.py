"""Execute a command inside a root directory: `enter ROOT allowed|denied COMMAND…`."""

import ctypes
import os
import sys
from typing import Final

from cogo_dagster_tests.fresh.seccomp import deny_user_namespaces

_DETACH: Final = 2


def main() -> None:
    """Change the root directory, disable user namespaces if requested, and execute the command."""
    root, namespaces, *command = sys.argv[1:]
    if root != "/":
        change_root(root)
    if namespaces == "denied":
        deny_user_namespaces()
    os.execvpe(command[0], command, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})


def change_root(root: str) -> None:
    """Make a mount point the root of this mount namespace, and unmount the old root.

    After chroot(2) the kernel denies new user namespaces (user_namespaces(7)), on which the sandbox of Chromium depends
    on Debian 13.

    Raises:
        OSError: It is not a mount point, or this process has no mount namespace of its own.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(root)
    # The old root is mounted on the new one, so that no folder is needed for it: see pivot_root(2).
    for result in (libc.pivot_root(b".", b"."), libc.umount2(b".", _DETACH)):
        if result != 0:
            raise OSError(ctypes.get_errno(), f"The root directory could not be changed to {root}.")
    os.chdir("/")


if __name__ == "__main__":
    main()
