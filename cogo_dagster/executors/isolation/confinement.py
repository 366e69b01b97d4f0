"""The isolation of one job: its account, its folder, and the launcher arguments for its commands."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cogo_dagster.executors.isolation.accounts import reserved_account
from cogo_dagster.executors.isolation.launcher import FAILED
from cogo_dagster.executors.isolation.machine import Isolation, launcher
from cogo_dagster.executors.isolation.paths import readable
from cogo_dagster.executors.isolation.plan import Network, Plan
from cogo_dagster.executors.isolation.ports import usable_ports


class IsolationFailed(Exception):
    """A command was not run because it could not be isolated."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the commands of a repository may access.

    Attributes:
        commands: The argument list of each command.
        env: Their environment variables.
        read: Folders and files that they may read besides the system and its toolchains.
        objects: Folders of Git objects that the checkout shares; not subject to `hidden`.
        ports: TCP ports besides the default ones.
        unrestricted_network: Whether they may reach every address and port that the worker can.
        hidden: Folders and files that they may not read, even inside a readable folder.
    """

    commands: Sequence[Sequence[str]]
    env: Mapping[str, str]
    read: Sequence[Path] = ()
    objects: Sequence[Path] = ()
    ports: Sequence[int] = ()
    unrestricted_network: bool = False
    hidden: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class ConfinedCommand:
    """A command wrapped by the launcher.

    Attributes:
        command: The argument list to run instead of the command.
        report: The file to which the launcher writes an error.
        variables: Additional environment variables.
    """

    command: list[str]
    report: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def check(self, exit_code: int | None) -> None:
        """Raise the error that the launcher reported, if any.

        Raises:
            IsolationFailed: The command could not be isolated.
            OSError: The command was isolated but could not be started.
        """
        error = self.report.read_text() if exit_code == FAILED and self.report.is_file() else ""
        if not error:
            return
        problem = json.loads(error)
        reason = os.strerror(problem["errno"] or 0)
        if problem["isolated"]:
            raise OSError(problem["errno"], reason)
        where = f" at {problem['where']}" if problem["where"] else ""
        raise IsolationFailed(f"{reason}{where}")


@dataclass(frozen=True, slots=True)
class Confinement:
    """The isolation of one job.

    Attributes:
        area: The folder that the commands own.
        mechanisms: The mechanisms that this machine supports.
        uid: The reserved account; None if the worker is not root.
        requirements: What the commands need.
        readable: The paths that the commands may read.
    """

    area: Path
    mechanisms: Isolation
    uid: int | None
    requirements: Requirements
    readable: tuple[str, ...]

    def change_owner(self) -> None:
        """Change the owner of the area and its content to the account of the commands. Blocks.

        Raises:
            OSError: The owner cannot be changed.
        """
        self.area.chmod(0o700)
        if self.uid is None:
            return
        self.area.parent.chmod(0o711)  # the account may traverse it to the area, and not list it
        for _, folders, files, place in os.fwalk(self.area):
            for name in (*folders, *files):
                os.chown(name, self.uid, self.uid, dir_fd=place, follow_symlinks=False)
        os.chown(self.area, self.uid, self.uid)

    def confine(self, command: Sequence[str]) -> ConfinedCommand:
        """Return the launcher command for a command."""
        report, path = tempfile.mkstemp(prefix="isolation-", dir=self.area.parent)
        os.close(report)
        network = self._network()
        connect, listen = (
            usable_ports(self.requirements.ports, self.requirements.env) if network == "ports" else ((), ())
        )
        plan = Plan(
            self.readable,
            (os.path.realpath(self.area),),
            path,
            self.mechanisms.namespaces,
            self.mechanisms.landlock,
            self.uid,
            network,
            connect,
            listen,
        )
        # Git fails if the system's configuration exists and is unreadable; in namespaces it does not exist.
        variables = {} if self.mechanisms.namespaces else {"GIT_CONFIG_NOSYSTEM": "1"}
        return ConfinedCommand([*launcher(plan), *command], Path(path), variables)

    def _network(self) -> Network:
        if self.requirements.unrestricted_network:
            return "host"
        return "ports" if self.mechanisms.restricts_ports else "none"


@contextmanager
def confinement(area: Path, requirements: Requirements, mechanisms: Isolation) -> Iterator[Confinement]:
    """Prepare the isolation of a job's commands. Blocks for some milliseconds.

    Args:
        area: An existing folder, the only one that the commands may write to.

    Raises:
        NoAccount: The worker is root, and all accounts are in use.
    """
    allowed = readable(requirements.commands, requirements.env, requirements.read, requirements.hidden)
    allowed = tuple(dict.fromkeys([*allowed, *(os.path.realpath(folder) for folder in requirements.objects)]))
    if not mechanisms.root:
        yield Confinement(area, mechanisms, None, requirements, allowed)
        return
    with reserved_account() as uid:
        yield Confinement(area, mechanisms, uid, requirements, allowed)
