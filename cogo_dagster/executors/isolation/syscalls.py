"""System calls that Python lacks, with ctypes; errors raise OSError."""

import ctypes
import os
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, Final

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4_096
MS_REC: Final = 16_384
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38

_CAPABILITY_VERSION: Final = 0x2008_0522
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}


@cache
def _libc() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def syscall(number: int, *arguments: Any) -> int:
    """Make a system call by number.

    Raises:
        OSError: The call failed.
    """
    return prepared(number, *arguments)()


def prepared(number: int, *arguments: Any) -> Callable[[], int]:
    """Return a function that makes a system call, for many calls with a buffer whose content changes."""
    function, first = _libc().syscall, ctypes.c_long(number)
    converted = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]

    def call() -> int:
        result: int = function(first, *converted)
        return result if result >= 0 else _checked(result)

    return call


def unshare(flags: int) -> None:
    """Move this process to new namespaces (unshare(2))."""
    _checked(_libc().unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, or change a mount (mount(2))."""
    arguments = [os.fsencode(source), os.fsencode(target), kind.encode() if kind else None]
    try:
        _checked(_libc().mount(*arguments, ctypes.c_ulong(flags), options.encode() or None))
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def detach(target: str) -> None:
    """Unmount lazily, even if the mount is in use (umount2(2))."""
    _checked(_libc().umount2(os.fsencode(target), MNT_DETACH))


def pivot_root(new: str, old: str) -> None:
    """Change the root mount and move the old root to *old* (pivot_root(2))."""
    syscall(_PIVOT_ROOT[os.uname().machine], os.fsencode(new), os.fsencode(old))


def prctl(option: int, *arguments: int) -> None:
    """Change an attribute of this process (prctl(2))."""
    converted = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    _checked(_libc().prctl(option, *converted))


def drop_capabilities() -> None:
    """Drop every capability, including inherited ambient ones."""
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    _checked(_libc().capset(header, nothing))


def drop_bounding_set() -> None:
    """Drop every capability from the bounding set."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # no more capabilities exist, or this process has none to drop
            return


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
