"""A separate process, with any account, that holds secrets in many places and runs commands in isolation.

It needs only the standard library. Its argument describes the run; it prints the results of the commands as JSON, or
the mechanisms of this machine if there is no command.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from secrets import randbits
from typing import Any

from cogo_dagster.executors.guard import GuardedCommand
from cogo_dagster.executors.isolation.confinement import Confinement, IsolationFailed, Requirements, confinement
from cogo_dagster.executors.isolation.machine import Isolation, isolation

LIBC = ctypes.CDLL(None, use_errno=True)
CANARY = "canary-" + "271828"  # split, since the source code and the command line of a process are readable
SIGNALS: list[int] = []


def secrets(top: Path) -> tuple[list[str], str]:
    """Create a home folder with several kinds of secrets; return the files and the home."""
    home = top / "worker"
    names = [
        ".cogo/vault/keys",
        ".cogo/postgres/password",
        ".cogo/artifacts/job/report.txt",
        ".env",
        ".ssh/id_ed25519",
        ".netrc",
        "cogo-job-0123456789ab/gate/checkout/other.txt",
    ]
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"secret={CANARY}\n")
        (home / name).chmod(0o644 if name == ".env" else 0o600)
    home.chmod(0o700)
    return [str(home / name) for name in names], str(home)


def listening(family: int, address: Any, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a listening socket."""
    if isinstance(address, str) and not address.startswith("\0"):
        Path(address).unlink(missing_ok=True)
    server = socket.socket(family, kind)
    server.bind(address)
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server


def shared_segment(key: int) -> None:
    """Write a secret to a System V shared memory segment."""
    LIBC.shmat.restype = ctypes.c_void_p
    place = LIBC.shmat(LIBC.shmget(key, 4_096, 0o1600), None, 0)
    ctypes.memmove(place, CANARY.encode(), len(CANARY))


def snapshot(top: str) -> dict[str, Any]:
    """Return mode, owner, content and time of everything below a folder."""
    found: dict[str, Any] = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            about = path.lstat()
            content = path.read_text() if path.is_file() else None
            found[str(path)] = [about.st_mode, about.st_uid, content, about.st_mtime if content else 0]
    return found


def own_addresses() -> list[str]:
    """Return this machine's addresses besides loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, contextlib.suppress(OSError):
        client.connect(("192.0.2.1", 9))
        return [client.getsockname()[0]]
    return []


@contextlib.contextmanager
def secrets_everywhere(home: str, files: list[str], idle_port: int) -> Iterator[dict[str, Any]]:
    """Hold secrets in memory, files, sockets and the kernel; yield what an attacker could guess about them."""
    kept = ctypes.create_string_buffer(CANARY.encode(), 64)
    number = randbits(31)  # not the process ID: a killed worker leaves its file and its segment behind
    abstract = f"cogo-test-{number}"
    in_memory = Path(f"/dev/shm/{abstract}")
    in_memory.write_text(CANARY)
    in_memory.chmod(0o600)
    shared_segment(number)
    LIBC.syscall(248 if os.uname().machine == "x86_64" else 217, b"user", b"cogo-test", CANARY.encode(), 13, -4)
    with contextlib.ExitStack() as opened:
        opened.enter_context(Path(files[0]).open())
        service = opened.enter_context(listening(socket.AF_INET6, ("::", 0)))
        opened.enter_context(listening(socket.AF_UNIX, f"\0{abstract}"))
        opened.enter_context(listening(socket.AF_UNIX, f"{home}/docker.sock"))
        opened.enter_context(listening(socket.AF_UNIX, f"{home}/notify", socket.SOCK_DGRAM))
        yield {
            "worker": os.getpid(),
            "address": ctypes.addressof(kept),
            "outside": home,
            "secrets": [*files, str(in_memory)],
            "abstract": abstract,
            "socket": f"{home}/docker.sock",
            "datagram": f"{home}/notify",
            "port": service.getsockname()[1],
            "idle_port": idle_port,
            "addresses": own_addresses(),
            "shm_key": number,
            "python": sys.base_prefix,
        }
    in_memory.unlink(missing_ok=True)
    LIBC.shmctl(LIBC.shmget(number, 0, 0), 0, None)


def run(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the described commands one after the other with the described isolation."""
    area = Path(given["top"], "job", "gate")
    ways = Isolation(**given["ways"]) if given["ways"] is not None else None
    files, home = secrets(Path(given["top"]))
    env = {"PATH": given["path"], "HOME": str(area / "home"), "TMPDIR": str(area / "home"), **given["env"]}
    with secrets_everywhere(home, files, given["idle_port"]) as target:
        target["same_processes"] = ways is None or not ways.namespaces
        target["same_network"] = ways is None or ways.restricts_ports or not ways.namespaces
        commands = [
            [json.dumps(target) if word == "{target}" else word for word in command] for command in given["commands"]
        ]
        before = snapshot(home)
        ended = asyncio.run(run_all(area, commands, env, given, ways))
        after = snapshot(home)
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    return [{**one, "changed": changed, "signals": SIGNALS} for one in ended]


async def run_all(
    area: Path, commands: list[list[str]], env: dict[str, str], given: dict[str, Any], ways: Isolation | None
) -> list[dict[str, Any]]:
    """Run the commands under a guard each, as the executor does."""
    if ways is None:
        return [await guarded(area, command, env) for command in commands]
    needs = Requirements(commands, env, [Path(path) for path in given["read"]], hidden=[Path(given["top"], "worker")])
    with confinement(area, needs, ways) as place:
        place.change_owner()
        return [await isolated(place, command, env) for command in commands]


async def isolated(place: Confinement, command: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Run a command in isolation."""
    confined = place.confine(command)
    ended = await guarded(place.area, confined.command, {**env, **confined.variables})
    try:
        confined.check(ended["exit_code"])
    except (IsolationFailed, OSError) as error:
        ended["output"] += f"not run: {error!r}"
    return ended


async def guarded(area: Path, command: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Run a command under a guard."""
    command_under_guard = GuardedCommand.start(command, area / "checkout", env, grace_seconds=1, kept_bytes=100_000)
    ended = await command_under_guard.wait()
    await command_under_guard.end()
    return {"exit_code": ended.exit_code, "output": ended.output.decode(errors="replace"), "left": ended.left}


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda number, _: SIGNALS.append(number))
    described = json.loads(sys.argv[1])
    answer = run(described) if described["commands"] else asdict(isolation())
    sys.stdout.write(json.dumps(answer) + "\n")
