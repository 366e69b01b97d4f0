"""Landlock (landlock(7), Linux 5.13): a process irrevocably drops access to files, ports and signals.

A process in a Landlock domain cannot trace a process outside it either, which covers /proc/PID/environ, mem and fd.
"""

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from typing import Final, NamedTuple

from cogo_dagster.executors.isolation import syscalls

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NET_PORT: Final = 2
_O_PATH: Final = 0o10_000_000

TRUNCATE_ABI: Final = 3
"""The first version that restricts truncate(2)."""
NET_ABI: Final = 4
"""The first version that restricts TCP ports."""
SCOPE_ABI: Final = 6
"""The first version that restricts signals and abstract Unix sockets."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_EVERYTHING: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES: Final = 3


class Rules(NamedTuple):
    """The access that remains allowed.

    Attributes:
        read: Folders and files to read and execute.
        write: Folders and files with all rights.
        devices: Devices to read and write.
        folders: Folders that may be listed, recursively.
        connect: TCP ports to connect to; None does not restrict the network.
        listen: TCP ports to listen on; 0 is any free port.
    """

    read: Iterable[str]
    write: Iterable[str]
    devices: Iterable[str] = ()
    folders: Iterable[str] = ()
    connect: Iterable[int] | None = None
    listen: Iterable[int] = ()


def abi() -> int:
    """Return the kernel's Landlock version; 0 if it has none or the system is not Linux."""
    if sys.platform != "linux":
        return 0
    try:
        return syscalls.syscall(_CREATE_RULESET, None, 0, _VERSION)
    except (OSError, AttributeError):
        return 0


def attribute(version: int, *, network: bool) -> bytes:
    """Return struct landlock_ruleset_attr: the restricted rights that this version supports."""
    files = _EVERYTHING[min(version, 5)]
    if version < NET_ABI:
        return struct.pack("=Q", files)
    ports = _BIND_TCP | _CONNECT_TCP if network else 0
    if version < SCOPE_ABI:
        return struct.pack("=QQ", files, ports)
    return struct.pack("=QQQ", files, ports, _SCOPES)


def restrict(rules: Rules, version: int) -> None:
    """Restrict this process and its children to these rules.

    Paths that do not exist are ignored. PR_SET_NO_NEW_PRIVS must be set.

    Raises:
        OSError: The kernel rejects the rules.
    """
    network = rules.connect is not None and version >= NET_ABI
    restricted = attribute(version, network=network)
    ruleset = syscalls.syscall(_CREATE_RULESET, restricted, len(restricted), 0)
    handled = _EVERYTHING[min(version, 5)]
    devices = _READ | _WRITE_FILE | _IOCTL_DEV
    chosen = ((rules.read, _READ), (rules.write, handled), (rules.devices, devices), (rules.folders, _READ_DIR))
    for paths, access in chosen:
        for path in paths:
            _allow_path(ruleset, path, access & handled)
    if network:
        _allow_ports(ruleset, rules)
    syscalls.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow_path(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, _O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)  # the target of a link has its own rule
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_FILES
        syscalls.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, place), 0)
    finally:
        os.close(place)


class _PortRule(ctypes.Structure):
    """struct landlock_net_port_attr."""

    _fields_ = (("access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def _allow_ports(ruleset: int, rules: Rules) -> None:
    connect, listen = frozenset(rules.connect or ()), frozenset(rules.listen)
    both = connect & listen
    rule = _PortRule()
    add = syscalls.prepared(_ADD_RULE, ruleset, _NET_PORT, ctypes.byref(rule), 0)
    for access, ports in (
        (_CONNECT_TCP | _BIND_TCP, both),  # most are the thirty thousand ephemeral ports
        (_CONNECT_TCP, connect - both),
        (_BIND_TCP, listen - both),
    ):
        rule.access = access
        for rule.port in ports:
            add()
