"""Finds the process at the other end of a loopback connection, by what Linux says about the socket."""

import os
import socket
import struct
from collections.abc import Iterable
from typing import Final

Address = tuple[str, int]

_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_ERROR: Final = 2
_REQUEST: Final = 1
_ALL_STATES: Final = 0xFFFFFFFF
_NO_COOKIE: Final = 0xFFFFFFFF
_INODE_OFFSET: Final = 16 + 4 + 48 + 16
"""In the reply: after the netlink header, four bytes, the ids of the socket, and four numbers; see sock_diag(7)."""


def socket_inode(local: Address, remote: Address) -> int | None:
    """Return the inode of the IPv4 TCP socket with these addresses on this machine; None if it is unknown."""
    ids = struct.pack(">HH", local[1], remote[1]) + _bytes(local[0]) + _bytes(remote[0])
    ids += struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + ids
    head = struct.pack("=IHHII", 16 + len(body), _BY_FAMILY, _REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(0.2)
            kernel.send(head + body)
            reply = kernel.recv(4096)
    except (AttributeError, OSError):  # not Linux, or a kernel without it
        return None
    kind = struct.unpack_from("=IH", reply)[1]
    if kind == _ERROR or len(reply) < _INODE_OFFSET + 4:
        return None
    return int(struct.unpack_from("=I", reply, _INODE_OFFSET)[0]) or None


class ProcessSockets:
    """The sockets that a process has open.

    Descriptors that have been found are looked at first, the earliest found one first: a new socket gets a number that
    an earlier one had. Otherwise each call would read all descriptors of the process, about a hundred.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._folder = f"/proc/{pid}/fd"
        self._found: dict[str, None] = {}

    def has(self, inode: int) -> bool:
        """Whether the process has this socket open now; False if its descriptors cannot be read."""
        wanted = f"socket:[{inode}]"
        name = self._search(list(self._found), wanted)
        if name is None:
            try:
                name = self._search(os.listdir(self._folder), wanted)  # noqa: PTH208 - faster
            except OSError:
                return False
        if name is None:
            return False
        self._found.pop(name, None)
        self._found[name] = None
        return True

    def _search(self, names: Iterable[str], wanted: str) -> str | None:
        return next((name for name in names if _target(f"{self._folder}/{name}") == wanted), None)


def can_find_processes() -> bool:
    """Whether this system answers: tried with a connection of this process."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        own, inode = os.fstat(client.fileno()).st_ino, socket_inode(client.getsockname(), server.getsockname())
        return inode == own and ProcessSockets(os.getpid()).has(own)


def _bytes(host: str) -> bytes:
    return socket.inet_aton(host) + bytes(12)


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - faster
    except OSError:  # closed in the meantime
        return ""
