"""A root folder with only the paths that a command may access, in a new mount namespace (mount_namespaces(7))."""

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from cogo_dagster.executors.isolation import syscalls as calls

_STAGE: Final = "/tmp"  # noqa: S108 - a mount point that exists everywhere; nothing is written to it
_OLD: Final = "/.old"
_NEW: Final = "/.new"
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_LINKS: Final = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1"}
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_LOCKED_FLAGS: Final = {
    "ro": calls.MS_RDONLY,
    "nosuid": calls.MS_NOSUID,
    "nodev": calls.MS_NODEV,
    "noexec": calls.MS_NOEXEC,
    "noatime": 1_024,
    "nodiratime": 2_048,
    "relatime": 1 << 21,
}
"""Flags of a mount of another user namespace are locked: to clear such a flag is an error."""


def enter(*, as_root: bool, network: bool) -> None:
    """Move this process to new namespaces; its next child is the first of the process namespace.

    Args:
        as_root: Whether this process is root and needs no user namespace.
        network: Whether to create a network namespace with only a loopback interface.

    Raises:
        OSError: This machine does not allow it.
    """
    uid, gid = os.getuid(), os.getgid()
    flags = calls.CLONE_NEWNS | calls.CLONE_NEWPID | calls.CLONE_NEWIPC
    calls.unshare(flags | (0 if as_root else calls.CLONE_NEWUSER) | (calls.CLONE_NEWNET if network else 0))
    if not as_root:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    if network:
        import socket  # noqa: PLC0415 - slow to import

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def build_root(read: Iterable[str], write: Iterable[str], uid: int, gid: int) -> None:
    """Replace the root folder with a folder that contains only these folders and files, at their paths.

    Must be called by the first process of the PID namespace.

    Raises:
        OSError: This machine does not allow it.
    """
    calls.mount("none", "/", None, calls.MS_REC | calls.MS_PRIVATE)
    calls.mount("tmpfs", _STAGE, "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "mode=0755")
    os.mkdir(_STAGE + _OLD)  # noqa: PTH102 - here and below, pathlib is slow to import
    calls.pivot_root(_STAGE, _STAGE + _OLD)
    os.chdir("/")
    os.mkdir(_NEW)  # noqa: PTH102
    calls.mount("tmpfs", _NEW, "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "mode=0755")
    _system_folders(uid, gid)
    chosen = [*((path, False) for path in read), *((path, True) for path in write)]
    for path, writable in sorted(chosen):  # a folder before its content
        _bind(path, writable=writable)
    calls.mount("none", _NEW, None, calls.MS_REMOUNT | calls.MS_BIND | calls.MS_RDONLY | calls.MS_NOSUID)
    calls.detach(_OLD)
    os.chdir(_NEW)
    calls.pivot_root(".", ".")
    calls.detach(".")  # the old root is mounted over the new one
    os.chdir("/")


def _system_folders(uid: int, gid: int) -> None:
    """Create /proc, /dev, /tmp, and /etc/passwd and /etc/group with two accounts."""
    for name, mode in (("proc", 0o555), ("dev", 0o755), ("tmp", 0o755), ("etc", 0o755)):
        os.mkdir(f"{_NEW}/{name}", mode)  # noqa: PTH102
    _mount_proc()
    for name in _DEVICES:
        _bind(f"/dev/{name}", writable=True, devices=True)
    for name, target in _LINKS.items():
        os.symlink(target, f"{_NEW}/dev/{name}")  # noqa: PTH211
    os.symlink("/proc/self/fd/2", f"{_NEW}/dev/stderr")  # noqa: PTH211
    os.mkdir(f"{_NEW}/dev/shm")  # noqa: PTH102, S108
    for place in ("/dev/shm", "/tmp"):  # noqa: S108 - both private to the namespace
        calls.mount("tmpfs", _NEW + place, "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "mode=1777")
    with contextlib.suppress(OSError):  # few commands need pseudo-terminals
        _pseudo_terminals()
    _write(f"{_NEW}/etc/passwd", f"root:x:0:0::/:/bin/sh\ngate:x:{uid}:{gid}::/tmp:/bin/sh\n", new=True)
    _write(f"{_NEW}/etc/group", f"root:x:0:\ngate:x:{gid}:\n", new=True)


def _mount_proc() -> None:
    flags = calls.MS_NOSUID | calls.MS_NODEV | calls.MS_NOEXEC
    try:
        calls.mount("proc", f"{_NEW}/proc", "proc", flags)
    except PermissionError:  # a container masks parts of its /proc, and the kernel then allows no unmasked one
        calls.mount(f"{_OLD}/proc", f"{_NEW}/proc", None, calls.MS_BIND | calls.MS_REC)


def _pseudo_terminals() -> None:
    os.mkdir(f"{_NEW}/dev/pts")  # noqa: PTH102
    flags = calls.MS_NOSUID | calls.MS_NOEXEC
    calls.mount("devpts", f"{_NEW}/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", f"{_NEW}/dev/ptmx")  # noqa: PTH211


def _bind(path: str, *, writable: bool, devices: bool = False) -> None:
    """Bind-mount a folder or file at its path; a symbolic link is copied. A path that does not exist is ignored."""
    source, target = _OLD + path, _NEW + path
    try:
        mode = os.lstat(source).st_mode
    except OSError:
        return
    if os.path.lexists(target) and not os.path.isdir(target):  # noqa: PTH112
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
    if stat.S_ISLNK(mode):
        if not os.path.lexists(target):
            os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
        return
    if stat.S_ISDIR(mode):
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    calls.mount(source, target, None, calls.MS_BIND | calls.MS_REC)
    flags = calls.MS_NOSUID | (0 if devices else calls.MS_NODEV) | (0 if writable else calls.MS_RDONLY)
    for place, kept in _mounts_below(target):
        calls.mount("none", place, None, calls.MS_REMOUNT | calls.MS_BIND | flags | kept)


def _mounts_below(target: str) -> list[tuple[str, int]]:
    """Return the mount at a path and the mounts below it, each with its flags."""
    found = []
    with open(f"{_OLD}/proc/self/mountinfo") as table:  # noqa: PTH123
        for line in table:
            fields = line.split()
            place = _unescaped(fields[4])
            if place == target or place.startswith(f"{target}/"):
                found.append((place, sum(_LOCKED_FLAGS.get(flag, 0) for flag in fields[5].split(","))))
    return found


def _unescaped(place: str) -> str:
    """Undo the escapes of /proc/self/mountinfo."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(escape, character)
    return place


def _write(path: str, text: str, *, new: bool = False) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | (os.O_CREAT if new else 0), 0o644)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
