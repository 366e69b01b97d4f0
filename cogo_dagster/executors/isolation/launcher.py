"""The process between the guard and a command: isolates itself according to a plan and then executes the command.

With namespaces there are three processes: the launcher stays outside and passes on the exit code; the first process of
the PID namespace reaps orphans, and the kernel kills all processes of the namespace when it exits; the third executes
the command.
"""

import contextlib
import json
import os
import signal
import sys
import warnings  # noqa: F401 - execvp imports it, possibly when the library folders are no longer visible
from typing import Final, NoReturn

from cogo_dagster.executors.isolation import landlock, namespaces, seccomp, syscalls
from cogo_dagster.executors.isolation.plan import Plan

FAILED: Final = 125
"""The exit code if the isolation cannot be set up; the plan's report has the reason."""

_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_TERMINALS: Final = ("/dev/ptmx", "/dev/pts")
_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_OWN_FOLDERS: Final = ("/tmp", "/dev/shm")  # noqa: S108 - private to the namespace


def main(arguments: list[str]) -> NoReturn:
    """Run the command that follows the plan; without a command, only test the plan."""
    plan, command = Plan.loads(arguments[0]), arguments[1:]
    folder = os.getcwd()  # noqa: PTH109 - pathlib is slow to import
    report = os.open(plan.report, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.umask(0o022)
        if plan.namespaces:
            _in_namespaces(plan, command, folder, report)
        _exec_command(plan, command, folder)
    except OSError as error:
        _fail(report, error)


class _NotStarted(OSError):
    """The isolation is complete, but the command cannot be started."""


def _fail(report: int, error: OSError) -> NoReturn:
    where = error.filename if isinstance(error.filename, str) else None
    content = {"isolated": isinstance(error, _NotStarted), "errno": error.errno, "where": where}
    os.write(report, json.dumps(content).encode())
    os._exit(FAILED)


def _in_namespaces(plan: Plan, command: list[str], folder: str, report: int) -> NoReturn:
    namespaces.enter(as_root=plan.uid is not None, network=plan.network == "none")
    reader, writer = os.pipe()
    for number in _ENDING:  # the command, in the same process group, gets them too, with default handlers
        signal.signal(number, _ignore_signal)
    first = os.fork()
    if not first:
        os.close(reader)
        _die_with_parent()
        _run_init(plan, command, folder, report, writer)
    os.close(writer)
    status = os.read(reader, 16)
    os.waitpid(first, 0)
    _exit_like(int(status) if status else signal.SIGKILL)


def _run_init(plan: Plan, command: list[str], folder: str, report: int, writer: int) -> NoReturn:
    """Run as the first process of the namespace: when it exits, the kernel kills the others."""
    try:
        uid, gid = plan.uid or os.getuid(), plan.uid or os.getgid()
        namespaces.build_root(plan.read, plan.write, uid, gid)
        child = os.fork()
        if not child:
            _exec_or_report(plan, command, folder, report)
        status = _reap_until(child)
        os.write(writer, str(status).encode())
        os._exit(0)
    except OSError as error:
        os.write(writer, str(FAILED << 8).encode())
        _fail(report, error)


def _exec_or_report(plan: Plan, command: list[str], folder: str, report: int) -> NoReturn:
    try:
        _die_with_parent()
        _exec_command(plan, command, folder)
    except OSError as error:
        _fail(report, error)


def _reap_until(child: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def _exec_command(plan: Plan, command: list[str], folder: str) -> NoReturn:
    """Drop privileges according to the plan, and execute the command."""
    syscalls.drop_bounding_set()
    if plan.uid is not None:
        os.setgroups([])
        os.setresgid(plan.uid, plan.uid, plan.uid)
        os.setresuid(plan.uid, plan.uid, plan.uid)
        if not plan.namespaces:
            _die_with_parent()  # changing the uid resets it
    syscalls.drop_capabilities()
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    os.chdir(folder)
    if plan.landlock:
        landlock.restrict(_rules(plan), plan.landlock)
    if seccomp.available():
        seccomp.restrict(seccomp_filter(plan))
    if not command:
        os._exit(0)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the purpose of this module
    except OSError as error:
        raise _NotStarted(error.errno, error.strerror) from error


def _rules(plan: Plan) -> landlock.Rules:
    own = _OWN_FOLDERS if plan.namespaces else ("/dev/shm",) if plan.uid is not None else ()  # noqa: S108
    read = (*plan.read, "/proc", *(("/etc",) if plan.namespaces else ("/etc/passwd", "/etc/group")))
    devices = (*_DEVICES, *(_TERMINALS if plan.namespaces else ()))
    ports = plan.network == "ports"
    return landlock.Rules(
        read,
        (*plan.write, *own),
        devices,
        ("/",) if plan.namespaces else (),
        plan.connect if ports else None,
        plan.listen if ports else (),
    )


def seccomp_filter(plan: Plan) -> seccomp.Filter:
    """Return the system calls to block that neither Landlock nor a namespace restricts."""
    scoped = plan.landlock >= landlock.SCOPE_ABI or (plan.namespaces and plan.network == "none")
    # Unix sockets with a path are then not visible, or not accessible to the account.
    private = plan.namespaces or plan.uid is not None
    return seccomp.Filter(
        unix=not (scoped and private),
        internet=plan.network == "none" and not plan.namespaces,
        ipc=not plan.namespaces,
        others=not private,
        truncate=not private and plan.landlock < landlock.TRUNCATE_ABI,
    )


def _die_with_parent() -> None:
    parent = os.getppid()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(FAILED)


def _ignore_signal(*_: object) -> None:
    """Ignore a signal that is meant for the command."""


def _exit_like(status: int) -> NoReturn:
    """Exit with the exit code or the signal of the command."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)  # the command has already dumped core
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1:])
