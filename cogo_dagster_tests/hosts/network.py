"""Hosts on one Ethernet: each has its own network, processes and host name (Linux namespaces, as root).

No interface is created outside of the namespaces, and the kernel removes everything with the processes.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import psutil  # type: ignore[import-untyped]

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.programs import missing, required

NETWORK: Final = "10.77.0.0/24"

_CLONE_NEWNET: Final = 0x40000000
_PORT: Final = "eth0"
_INIT: Final = 'hostname "$0" && ip link set lo up && echo ready && exec sleep infinity'
_SWITCH: Final = "ip link add bridge type bridge && ip link set bridge up && echo ready && exec sleep infinity"


class NamespacesForbidden(Exception):
    """The system does not allow the creation of namespaces; the message is that of `unshare` or `ip`."""


@dataclass
class Host:
    """A machine.

    Attributes:
        name: The host name.
        address: The IPv4 address in NETWORK.
        processes: The processes that were started on it.
    """

    name: str
    address: str
    switch: int
    init: int = 0
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    _unshare: "subprocess.Popen[bytes] | None" = None

    def boot(self) -> None:
        """Start the host and connect it to the switch."""
        self._unshare = _unshare("--net", "--pid", "--uts", "--mount", "--mount-proc", script=_INIT, name=self.name)
        [child] = psutil.Process(self._unshare.pid).children()
        self.init = child.pid
        ends = ["name", f"to-{self.name}", "netns", str(self.switch), "type", "veth", "peer", _PORT]
        _run("ip", "link", "add", *ends, "netns", str(self.init))
        _inside(self.switch, "ip", "link", "set", f"to-{self.name}", "master", "bridge", "up")
        _inside(self.init, "ip", "address", "add", f"{self.address}/24", "dev", _PORT)
        _inside(self.init, "ip", "link", "set", _PORT, "up")

    def cut(self) -> None:
        """Disconnect the host: packets are lost, and connections stay open on both sides."""
        _inside(self.switch, "ip", "link", "set", f"to-{self.name}", "down")

    def connect(self) -> None:
        """Connect the host again."""
        _inside(self.switch, "ip", "link", "set", f"to-{self.name}", "up")

    def die(self) -> None:
        """Kill all processes of a host that is disconnected first, so that no one is notified."""
        self.cut()
        os.kill(self.init, signal.SIGKILL)
        self._end()
        with suppress(NamespacesForbidden):  # the kernel removes it too, some time after the host
            _inside(self.switch, "ip", "link", "delete", f"to-{self.name}")

    def start(
        self, command: Sequence[str | Path], environment: Mapping[str, str], output: "IO[bytes]"
    ) -> "subprocess.Popen[bytes]":
        """Start a process on the host; its working directory is that of the project."""
        process = subprocess.Popen(
            [*_nsenter(self.init, "--pid", "--mount", "--uts"), *map(str, command)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Terminate the processes that were started on the host, and wait for their end."""
        for process in self.processes:
            for child in psutil.Process(process.pid).children():
                child.terminate()
            process.wait()
        self.processes.clear()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Open sockets and start threads in the network of the host, in this thread only."""
        with Path("/proc/thread-self/ns/net").open("rb") as own, Path(f"/proc/{self.init}/ns/net").open("rb") as other:
            _setns(other.fileno())
            try:
                yield
            finally:
                _setns(own.fileno())

    def _end(self) -> None:
        for process in [*self.processes, *filter(None, [self._unshare])]:
            process.kill()
            process.wait()
        self.processes.clear()


@contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """Yield hosts on one switch; without the right to create namespaces, the test is skipped, or fails in CI."""
    required("ip")
    try:
        switch = _unshare("--net", script=_SWITCH, name="switch")
    except NamespacesForbidden as error:
        missing("Network namespaces", f"allow them, for example with `docker run --privileged` ({error})")
    with ExitStack() as stack:
        stack.callback(switch.wait)
        stack.callback(switch.kill)
        [inside] = psutil.Process(switch.pid).children()
        found = [Host(name, f"10.77.0.{number}", inside.pid) for number, name in enumerate(names, start=1)]
        for host in found:
            host.boot()
            stack.callback(host._end)
        yield found


def _unshare(*options: str, script: str, name: str) -> "subprocess.Popen[bytes]":
    """Run a script in new namespaces, until this process ends."""
    process = subprocess.Popen(
        ["unshare", *options, "--fork", "--kill-child", "sh", "-c", script, name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    if process.stdout.readline() != b"ready\n":
        process.kill()
        raise NamespacesForbidden(process.stderr.read().decode(errors="replace").strip())
    return process


def _nsenter(target: int, *options: str) -> list[str]:
    return ["nsenter", "--target", str(target), "--net", *options, f"--wd={PROJECT_ROOT}", "--"]


def _inside(target: int, *command: str) -> None:
    _run(*_nsenter(target), *command)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NamespacesForbidden(f"{' '.join(command)}: {done.stderr.strip()}")


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "A network namespace cannot be entered.")
