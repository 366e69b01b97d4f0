"""A system call filter (seccomp(2)) for what neither Landlock nor a namespace restricts."""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from cogo_dagster.executors.isolation import syscalls

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND, _THIRD, _FOURTH = 0, 4, 16, 24, 32, 40  # offsets in struct seccomp_data
_ALLOW: Final = 0x7FFF_0000
_ERRNO: Final = 0x0005_0000
_X32: Final = 0x4000_0000
_MSG_FASTOPEN: Final = 0x2000_0000
_PROTOCOLS: Final = (0, 1, 6, 17, 58)
"""IP, ICMP, TCP, UDP, ICMPv6. Not MPTCP: Landlock restricts only the ports of TCP, and MPTCP reaches TCP servers."""
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _SOCK_DGRAM = 1, 2, 10, 16, 2  # the module socket is slow to import
_TYPE_OF_SOCKET: Final = 0xF


class _Machine(NamedTuple):
    """The system call numbers of one architecture."""

    architecture: int
    socket: int
    socketpair: int
    truncate: int
    sending: Mapping[int, int]
    always: tuple[int, ...]
    ipc: tuple[int, ...]
    others: tuple[int, ...]


_MACHINES: Final = {
    "x86_64": _Machine(
        0xC000_003E,
        socket=41,
        socketpair=53,
        truncate=76,
        sending={44: _FOURTH, 46: _THIRD, 307: _FOURTH},
        always=(248, 249, 250, 298, 321, 323),
        ipc=(29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 220, 240, 241),
        others=(141, 142, 144, 203, 251, 256, 279, 302, 314, 440),
    ),
    "aarch64": _Machine(
        0xC000_00B7,
        socket=198,
        socketpair=199,
        truncate=45,
        sending={206: _FOURTH, 211: _THIRD, 269: _FOURTH},
        always=(217, 218, 219, 241, 280, 282),
        ipc=(180, 181, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196),
        others=(30, 118, 119, 122, 140, 238, 239, 261, 274, 440),
    ),
}
"""`sending`: calls that send to an address, with the offset of their flags. `always`: keyrings, perf, bpf,
userfaultfd. `ipc`: System V IPC and message queues. `others`: limits and priorities of the process in the first
argument; 0 is the calling process."""
_IO_URING_SETUP: Final = 425
_OF_ACCOUNTS: Final = {141: 2, 140: 2, 251: 3, 30: 3}
"""By call, the value of the first argument that selects all processes of a user; the second argument is an id."""


class Filter(NamedTuple):
    """What to block besides keyrings, perf, bpf, io_uring and uncommon socket families.

    Attributes:
        unix: Unix sockets, except connected pairs.
        internet: IPv4 and IPv6 sockets.
        ipc: System V IPC and message queues.
        others: Changing limits and priorities of other processes.
        truncate: truncate(2), which needs no open file.
    """

    unix: bool = False
    internet: bool = False
    ipc: bool = False
    others: bool = False
    truncate: bool = False


def available() -> bool:
    """Return whether this machine's architecture is supported."""
    return os.uname().machine in _MACHINES


def program(chosen: Filter, machine: str) -> bytes:
    """Return the filter, as an array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in _instructions(chosen, _MACHINES[machine]))


def restrict(chosen: Filter) -> None:
    """Block these calls for this process and its children. PR_SET_NO_NEW_PRIVS must be set.

    Raises:
        OSError: The kernel rejects the filter.
    """
    code = program(chosen, os.uname().machine)
    kept = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(kept)))
    syscalls.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(header))


def _instructions(chosen: Filter, machine: _Machine) -> Iterator[tuple[int, int, int, int]]:
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, machine.architecture  # system calls of 32-bit programs have other numbers
    yield _deny(errno.ENOSYS)
    yield _LOAD, 0, 0, _NUMBER
    yield _AT_LEAST, 0, 1, _X32
    yield _deny(errno.ENOSYS)
    yield from _deny_call(_IO_URING_SETUP, errno.ENOSYS)  # it creates sockets without socket(2); programs fall back
    more = (*(machine.ipc if chosen.ipc else ()), *((machine.truncate,) if chosen.truncate else ()))
    for number in (*machine.always, *more):
        yield from _deny_call(number, errno.EPERM)
    if chosen.others:
        for number in machine.others:
            yield from _deny_for_others(number)
    for number, flags in machine.sending.items():
        yield from _deny_fast_open(number, flags)
    yield from _restrict_sockets(chosen, machine)
    if chosen.unix:
        yield from _deny_datagram_pairs(machine)
    yield _RETURN, 0, 0, _ALLOW


def _deny_call(number: int, error: int) -> Iterator[tuple[int, int, int, int]]:
    yield _EQUAL, 0, 1, number
    yield _deny(error)


def _deny_for_others(number: int) -> Iterator[tuple[int, int, int, int]]:
    of_account = _OF_ACCOUNTS.get(number)
    yield _EQUAL, 0, 4 if of_account is None else 7, number
    if of_account is not None:
        yield _LOAD, 0, 0, _FIRST
        yield _EQUAL, 0, 1, of_account
        yield _deny(errno.EPERM)
    yield _LOAD, 0, 0, _FIRST if of_account is None else _SECOND
    yield _EQUAL, 1, 0, 0
    yield _deny(errno.EPERM)
    yield _LOAD, 0, 0, _NUMBER


def _deny_fast_open(number: int, flags: int) -> Iterator[tuple[int, int, int, int]]:
    """Block TCP Fast Open, which not every check treats as a connection; programs fall back to connect(2)."""
    yield _EQUAL, 0, 4, number
    yield _LOAD, 0, 0, flags
    yield _ANY_BIT, 0, 1, _MSG_FASTOPEN
    yield _deny(errno.EOPNOTSUPP)
    yield _LOAD, 0, 0, _NUMBER


def _restrict_sockets(chosen: Filter, machine: _Machine) -> Iterator[tuple[int, int, int, int]]:
    """Allow the socket families that builds need, and the common IP protocols."""
    others = [_AF_NETLINK] if chosen.unix else [_AF_NETLINK, _AF_UNIX]  # getaddrinfo(3) needs AF_NETLINK
    internet = [] if chosen.internet else [_AF_INET, _AF_INET6]
    rest = len(_PROTOCOLS) + 2 if internet else 0
    yield _EQUAL, 0, len(others) + len(internet) + rest + 3, machine.socket
    yield _LOAD, 0, 0, _FIRST
    for index, family in enumerate(others):
        yield _EQUAL, len(others) - index + len(internet) + rest, 0, family
    for index, family in enumerate(internet):
        yield _EQUAL, len(internet) - index, 0, family
    yield _deny(errno.EACCES)
    if internet:
        yield _LOAD, 0, 0, _THIRD
        for index, protocol in enumerate(_PROTOCOLS):
            yield _EQUAL, len(_PROTOCOLS) - index, 0, protocol
        yield _deny(errno.EPROTONOSUPPORT)
    yield _LOAD, 0, 0, _NUMBER


def _deny_datagram_pairs(machine: _Machine) -> Iterator[tuple[int, int, int, int]]:
    """Block pairs of datagram sockets, which can be reconnected to any address."""
    yield _EQUAL, 0, 5, machine.socketpair
    yield _LOAD, 0, 0, _SECOND
    yield _AND, 0, 0, _TYPE_OF_SOCKET
    yield _EQUAL, 0, 1, _SOCK_DGRAM
    yield _deny(errno.EACCES)
    yield _LOAD, 0, 0, _NUMBER


def _deny(error: int) -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, _ERRNO | error
