# ruff: noqa: E402, PTH101, PTH104, PTH109, PTH113, PTH118, PTH123, PTH208, PTH211, PLW0108, T201
"""Untrusted code that tries to read secrets and to change files and processes; writes the results as JSON.

It uses only the standard library, is run by its path, and gets facts about the machine that an attacker could guess.
"""

import os


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


# Before the import of ctypes, whose libffi opens its own file and keeps it open.
INHERITED = [number for number in range(3, 256) if _is_open(number)]

import contextlib
import ctypes
import json
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CANARY = re.compile(rb"canary-[0-9]{6}")
LIBC = ctypes.CDLL(None, use_errno=True)
TARGET: dict[str, Any] = json.loads(sys.argv[1]) if __name__ == "__main__" else {}
WORKER = int(TARGET.get("worker", 0))
MOST_BYTES = 1_000_000


def has_canary(path: str) -> bool:
    """Return whether a file is readable and contains a secret."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return CANARY.search(file.read(MOST_BYTES)) is not None
    return False


def of_processes(name: str) -> Callable[[], bool]:
    """Return a function that reads one /proc file of every process."""
    return lambda: any(has_canary(f"/proc/{pid}/{name}") for pid in pids())


def pids() -> Iterator[str]:
    """Yield the visible processes and the worker."""
    seen = {str(WORKER), str(os.getppid()), *(name for name in os.listdir("/proc") if name.isdigit())}
    yield from seen - {str(os.getpid())}


def known_files() -> bool:
    """Read the files that contain secrets."""
    return any(has_canary(path) for path in TARGET["secrets"])


def every_file() -> bool:
    """Read the files in folders that often contain secrets."""
    places = ["/etc", "/home", "/root", "/srv", "/var/lib", "/var/tmp", "/run", "/dev/shm", "/opt", TARGET["outside"]]
    own = os.getcwd()
    return any(
        has_canary(os.path.join(folder, name))
        for place in places
        for folder, _, names in os.walk(place)
        if not folder.startswith((own, TARGET["python"]))
        for name in names[:200]
        if os.path.isfile(os.path.join(folder, name))
    )


def through_process_links() -> bool:
    """Read files through the root and working folder of other processes."""
    names = [f"/proc/{pid}/{link}{path}" for pid in pids() for link in ("root", "cwd/..") for path in TARGET["secrets"]]
    return any(has_canary(name) for name in names)


def open_files_of_others() -> bool:
    """Read the open files of other processes."""
    for pid in pids():
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                target = f"/proc/{pid}/fd/{name}"
                if os.path.isfile(target) and has_canary(target):
                    return True
    return False


def inherited_files() -> bool:
    """Find file descriptors besides the three standard streams that were open at the start."""
    return bool(INHERITED)


def memory_by_vm_readv() -> bool:
    """Read the worker's memory with process_vm_readv(2)."""
    buffer = ctypes.create_string_buffer(64)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)
    remote = (ctypes.c_size_t * 2)(int(TARGET["address"]), 64)
    got = LIBC.process_vm_readv(WORKER, local, 1, remote, 1, 0)
    return got > 0 and CANARY.search(buffer.raw) is not None


def memory_by_proc() -> bool:
    """Read the worker's memory through /proc."""
    with contextlib.suppress(OSError), open(f"/proc/{WORKER}/mem", "rb", buffering=0) as memory:
        memory.seek(int(TARGET["address"]))
        return CANARY.search(memory.read(64)) is not None
    return False


def trace() -> bool:
    """Attach to the worker (PTRACE_SEIZE does not stop it)."""
    return bool(LIBC.ptrace(0x4206, WORKER, 0, 0) == 0)


def send_signals() -> bool:
    """Signal the worker and its process group."""
    done = False
    for send in (os.kill, os.killpg):
        with contextlib.suppress(OSError):
            send(WORKER, signal.SIGUSR1)
            done = True
    return done and bool(TARGET["same_processes"])  # in a PID namespace the number means another process or none


def change_limits() -> bool:
    """Lower the worker's limits and priority."""
    limits = (ctypes.c_ulong * 2)(64, 64)
    lowered = bool(LIBC.prlimit64(WORKER, 7, limits, None) == 0)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, WORKER, 19)
        lowered = True
    return lowered


def connects(family: int, address: Any) -> bool:
    """Return whether a connection succeeds."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(3)
        client.connect(address)
        return True
    return False


def abstract_socket() -> bool:
    """Connect to an abstract Unix socket."""
    return connects(socket.AF_UNIX, f"\0{TARGET['abstract']}")


def socket_file() -> bool:
    """Connect to a Unix socket that is open to the worker's account, as that of Docker or D-Bus."""
    return connects(socket.AF_UNIX, TARGET["socket"])


def datagram_pair() -> bool:
    """Reconnect one of a pair of datagram sockets to a socket file."""
    with contextlib.suppress(OSError):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            ours.connect(TARGET["datagram"])
            return True
    return False


def loopback_services() -> bool:
    """Connect to a service on this machine by each of its addresses."""
    port = int(TARGET["port"])
    named = [(socket.AF_INET, (host, port)) for host in ("127.0.0.1", "0.0.0.0", "127.1.2.3", *TARGET["addresses"])]
    return any(connects(family, address) for family, address in [*named, (socket.AF_INET6, ("::ffff:127.0.0.1", port))])


def fast_open() -> bool:
    """Connect to a service with TCP Fast Open, without connect(2)."""
    with contextlib.suppress(OSError), socket.socket() as client:
        return client.sendto(b"GET / HTTP/1.0\r\n\r\n", 0x2000_0000, ("127.0.0.1", int(TARGET["port"]))) > 0
    return False


def other_protocols() -> bool:
    """Connect to a service with MPTCP, which falls back to TCP."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as client:
        client.settimeout(3)
        client.connect(("127.0.0.1", int(TARGET["port"])))
        return True
    return False


def take_a_port() -> bool:
    """Listen on the port of a service that is down, to receive its token."""
    with contextlib.suppress(OSError), socket.socket() as server:
        server.bind(("127.0.0.1", int(TARGET["idle_port"])))
        server.listen()
        return bool(TARGET["same_network"])
    return False


def netlink_or_odd_sockets() -> bool:
    """Create sockets of families that builds do not need: packet, vsock, crypto."""
    for family in (17, 38, 40):
        with contextlib.suppress(OSError):
            socket.socket(family, socket.SOCK_STREAM if family == 40 else socket.SOCK_SEQPACKET).close()
            return True
    return False


def shared_memory() -> bool:
    """Attach a System V segment of the worker's account."""
    found = LIBC.shmget(int(TARGET["shm_key"]), 0, 0)
    if found < 0:
        return False
    LIBC.shmat.restype = ctypes.c_void_p
    place = LIBC.shmat(found, None, 0o10_000)
    if place in {None, ctypes.c_void_p(-1).value}:
        return False
    return CANARY.search(ctypes.string_at(place, 32)) is not None


def keyring() -> bool:
    """Read a key from the keyring of the worker's account."""
    for number in (250, 219):  # keyctl(2) on x86-64 and arm64
        key = LIBC.syscall(number, 10, -4, b"user", b"cogo-test", 0)
        buffer = ctypes.create_string_buffer(64)
        if key > 0 and LIBC.syscall(number, 11, key, buffer, 64) > 0 and CANARY.search(buffer.raw):
            return True
    return False


def become_root() -> bool:
    """Gain another account or a capability by several system calls."""
    ways: list[Callable[[], Any]] = [lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0])]
    ways += [lambda: os.chroot("/"), lambda: os.mknod("device", 0o60_666, os.makedev(8, 0))]
    own = (os.getuid(), tuple(os.getgroups()))
    for way in ways:
        with contextlib.suppress(OSError):
            way()
            if way is ways[3] or way is ways[4] or own != (os.getuid(), tuple(os.getgroups())):
                return True
    status = Path("/proc/self/status").read_text()
    return re.search(r"CapEff:\s*0+$", status, re.MULTILINE) is None


def setuid_program() -> bool:
    """Return whether set-user-ID programs would be effective: NoNewPrivs is not set."""
    return "NoNewPrivs:\t1" not in Path("/proc/self/status").read_text()


def mount_something() -> bool:
    """Change mounts, also from a new namespace."""
    child = os.fork()
    if not child:
        if LIBC.unshare(0x1000_0000 | 0x0002_0000) and LIBC.unshare(0x0002_0000):
            os._exit(0)
        LIBC.mount(b"none", b"/", None, 16_384 | (1 << 18), None)
        mounted = LIBC.mount(b"none", b"/usr", None, 32 | 4_096, None) == 0
        mounted |= LIBC.umount2(b"/proc", 2) == 0
        os._exit(1 if mounted else 0)
    return os.waitpid(child, 0)[1] != 0


def links_out_of_the_checkout() -> bool:
    """Read a secret through a symbolic link, a hard link, or a rename into the checkout."""
    found = False
    for index, path in enumerate(TARGET["secrets"]):
        for make in (os.symlink, os.link, os.rename):
            name = f"stolen-{index}-{make.__name__}"
            with contextlib.suppress(OSError):
                make(path, name)
            found |= has_canary(name)
    return found


def write_outside() -> bool:
    """Create, change, move and delete files outside the checkout. The worker detects the changes."""
    file, folder = Path(TARGET["secrets"][0]), Path(TARGET["outside"])
    ways: list[Callable[[], Any]] = [
        lambda: (folder / "new").write_text("x"),
        lambda: (folder / "folder").mkdir(),
        lambda: os.symlink("/etc/passwd", folder / "link"),
        lambda: file.open("a").write("x"),
        lambda: os.truncate(file, 0),
        lambda: os.rename(file, f"{file}.moved"),
        lambda: os.link("attack.py", folder / "hard"),
        lambda: Path("../../outside").write_text("x"),
        lambda: os.mkfifo(folder / "pipe"),
        lambda: file.unlink(),
        lambda: Path(TARGET["python"], "lib", "evil.pth").write_text("x"),
    ]
    done = False
    for way in ways:
        with contextlib.suppress(OSError):
            way()
            done = True
    return done


def change_attributes() -> bool:
    """Change the mode and timestamps of a file, which does not require opening it."""
    done = False
    for path in TARGET["secrets"]:
        with contextlib.suppress(OSError):
            os.chmod(path, 0o777)
            done = True
        with contextlib.suppress(OSError):
            os.utime(path, (1, 1))
            done = True
    return done


def terminal_input() -> bool:
    """Open the worker's terminal."""
    with contextlib.suppress(OSError), open("/dev/tty", "rb+", buffering=0):
        return True
    return False


ATTEMPTS: dict[str, Callable[[], bool]] = {
    "environ": of_processes("environ"),
    "known_files": known_files,
    "every_file": every_file,
    "process_links": through_process_links,
    "open_files": open_files_of_others,
    "inherited_files": inherited_files,
    "vm_readv": memory_by_vm_readv,
    "proc_mem": memory_by_proc,
    "trace": trace,
    "signals": send_signals,
    "limits": change_limits,
    "abstract_socket": abstract_socket,
    "socket_file": socket_file,
    "datagram_pair": datagram_pair,
    "loopback": loopback_services,
    "fast_open": fast_open,
    "mptcp": other_protocols,
    "port": take_a_port,
    "odd_sockets": netlink_or_odd_sockets,
    "shared_memory": shared_memory,
    "keyring": keyring,
    "become_root": become_root,
    "setuid": setuid_program,
    "mounts": mount_something,
    "links": links_out_of_the_checkout,
    "attributes": change_attributes,
    "terminal": terminal_input,
    "write": write_outside,
}

if __name__ == "__main__":
    achieved = {}
    for name, attempt in ATTEMPTS.items():
        try:
            achieved[name] = attempt()
        except OSError as error:
            achieved[name] = False
            print(name, error, file=sys.stderr)
    Path("achieved.json").write_text(json.dumps(achieved))
