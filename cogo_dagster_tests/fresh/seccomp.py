"""Denies user namespaces to this process and its children, as Docker's default profile does; root only."""

import ctypes
import errno
import platform
import struct
from typing import Final

_LOAD, _EQUAL, _BITS, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NEW_USER: Final = 0x10000000
_CLONE3: Final = 435
_CALLS: Final = {"x86_64": (0xC000003E, 56, 272), "aarch64": (0xC00000B7, 220, 97)}
"""The architecture's audit constant, and the numbers of clone and unshare."""

_SET_SECCOMP, _FILTER = 22, 2


def deny_user_namespaces() -> None:
    """Install the filter: clone and unshare with CLONE_NEWUSER fail with EPERM, and clone3 with ENOSYS."""
    architecture, clone, unshare = _CALLS[platform.machine()]
    program = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 4, 0, _CLONE3),
        (_EQUAL, 1, 0, clone),
        (_EQUAL, 0, 4, unshare),
        (_LOAD, 0, 0, 16),
        (_BITS, 1, 2, _NEW_USER),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    given = Filter(len(program), ctypes.addressof(code))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(given), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")
