"""The isolation of a command, created by the worker and applied by `launcher.py`."""

import json
from typing import Literal, NamedTuple

Network = Literal["ports", "none", "host"]


class Plan(NamedTuple):
    """The isolation of a command.

    Attributes:
        read: Folders and files that the command may read and execute.
        write: Folders that the command may write to.
        report: The file that receives the error if the isolation cannot be set up.
        namespaces: Whether the command gets new user (unless started by root), mount, PID and IPC namespaces.
        landlock: The Landlock version to use; 0 for none.
        uid: The account to change to, with a group of the same number; None keeps the worker's.
        network: `ports`: only these TCP ports; `none`: only a new loopback interface, or no sockets at all without
            namespaces; `host`: like the worker.
        connect: TCP ports that the command may connect to.
        listen: TCP ports that the command may listen on.
    """

    read: tuple[str, ...]
    write: tuple[str, ...]
    report: str
    namespaces: bool
    landlock: int
    uid: int | None
    network: Network
    connect: tuple[int, ...] = ()
    listen: tuple[int, ...] = ()

    def dumps(self) -> str:
        """Return the plan as JSON; ports as ranges, since there may be thousands."""
        return json.dumps([*self[:7], port_ranges(self.connect), port_ranges(self.listen)])

    @classmethod
    def loads(cls, text: str) -> "Plan":
        """Parse the output of `dumps`."""
        read, write, report, spaces, version, uid, network, connect, listen = json.loads(text)
        own = (tuple(read), tuple(write), report)
        return cls(*own, spaces, version, uid, network, _ports(connect), _ports(listen))


def port_ranges(ports: tuple[int, ...]) -> list[list[int]]:
    """Return the first and last port of each range of consecutive ports."""
    found: list[list[int]] = []
    for port in sorted(set(ports)):
        if found and found[-1][1] == port - 1:
            found[-1][1] = port
        else:
            found.append([port, port])
    return found


def _ports(port_ranges: list[list[int]]) -> tuple[int, ...]:
    return tuple(port for first, last in port_ranges for port in range(first, last + 1))
