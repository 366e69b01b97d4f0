"""Execute a command inside a root directory: `enter ROOT allowed|denied COMMAND…`."""

import os
import sys

from cogo_dagster_tests.fresh.seccomp import deny_user_namespaces


def main() -> None:
    """Change the root directory, disable user namespaces if requested, and execute the command."""
    root, namespaces, *command = sys.argv[1:]
    os.chroot(root)
    os.chdir("/")
    if namespaces == "denied":
        deny_user_namespaces()
    os.execvpe(command[0], command, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})


if __name__ == "__main__":
    main()
