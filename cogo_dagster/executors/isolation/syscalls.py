"""System calls that Python does not offer, by ctypes; their errors become OSError."""

import ctypes
import os
import struct
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
    """Make a system call by its number.

    Raises:
        OSError: It failed.
    """
    whole = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc().syscall(ctypes.c_long(number), *whole))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones (unshare(2))."""
    _checked(_libc().unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, or change a mount (mount(2))."""
    words = [os.fsencode(source), os.fsencode(target), kind.encode() if kind else None]
    try:
        _checked(_libc().mount(*words, ctypes.c_ulong(flags), options.encode() or None))
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def detach(target: str) -> None:
    """Take a mount away, also where it is in use (umount2(2))."""
    _checked(_libc().umount2(os.fsencode(target), MNT_DETACH))


def pivot_root(new: str, old: str) -> None:
    """Make a mount the root, and put the old root below it (pivot_root(2))."""
    syscall(_PIVOT_ROOT[os.uname().machine], os.fsencode(new), os.fsencode(old))


def prctl(option: int, *arguments: int) -> None:
    """Change what the kernel allows this process (prctl(2))."""
    whole = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    _checked(_libc().prctl(option, *whole))


def drop_capabilities() -> None:
    """Give up every capability, also those that a worker passes on (ambient)."""
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    _checked(_libc().capset(header, nothing))


def drop_bounding_set() -> None:
    """Take away every capability that a program could still be given."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # the kernel has no more of them, or we may not, and so have none to lose
            return


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
