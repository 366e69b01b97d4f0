"""One job's confinement: the account it borrows, the folder it gets, and the words that go before its commands."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cogo_dagster.executors.isolation.accounts import borrowed
from cogo_dagster.executors.isolation.launcher import FAILED
from cogo_dagster.executors.isolation.machine import Isolation, launcher
from cogo_dagster.executors.isolation.paths import readable
from cogo_dagster.executors.isolation.plan import Network, Plan
from cogo_dagster.executors.isolation.ports import usable


class IsolationFailed(Exception):
    """A command was not run, since it could not be isolated."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the commands of a repository need.

    Attributes:
        commands: The words of each.
        env: Their variables.
        read: Folders and files that they may read besides the system and its toolchains.
        objects: Folders of Git objects that the checkout borrows; not subject to `hidden`.
        ports: TCP ports besides the usual.
        unrestricted_network: Whether they may reach every address and port that the worker can.
        hidden: Folders and files that they may not read, although they are inside a folder that they may.
    """

    commands: Sequence[Sequence[str]]
    env: Mapping[str, str]
    read: Sequence[Path] = ()
    objects: Sequence[Path] = ()
    ports: Sequence[int] = ()
    unrestricted_network: bool = False
    hidden: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Confined:
    """A command with the words that isolate it.

    Attributes:
        command: To be run in the place of the command.
        report: Where the launcher says what went wrong.
        variables: To be set for it.
    """

    command: list[str]
    report: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def check(self, exit_code: int | None) -> None:
        """Raise what kept the command from being started, if something did.

        Raises:
            IsolationFailed: It could not be isolated.
            OSError: It is isolated, and cannot be started.
        """
        told = self.report.read_text() if exit_code == FAILED and self.report.is_file() else ""
        if not told:
            return
        problem = json.loads(told)
        reason = os.strerror(problem["errno"] or 0)
        if problem["isolated"]:
            raise OSError(problem["errno"], reason)
        where = f" at {problem['where']}" if problem["where"] else ""
        raise IsolationFailed(f"{reason}{where}")


@dataclass(frozen=True, slots=True)
class Confinement:
    """A job's place.

    Attributes:
        area: The folder that belongs to its commands.
        ways: What this machine offers.
        uid: The borrowed account; None where the worker is not root.
        readable: What its commands may read.
    """

    area: Path
    ways: Isolation
    uid: int | None
    needs: Needs
    readable: tuple[str, ...]

    def hand_over(self) -> None:
        """Give the area, with all that is in it, to the account of the commands. Blocks.

        Raises:
            OSError: It cannot be given away.
        """
        self.area.chmod(0o700)
        if self.uid is None:
            return
        self.area.parent.chmod(0o711)  # the account is let through to the area, and sees nothing else
        for _, folders, files, place in os.fwalk(self.area):
            for name in (*folders, *files):
                os.chown(name, self.uid, self.uid, dir_fd=place, follow_symlinks=False)
        os.chown(self.area, self.uid, self.uid)

    def confine(self, command: Sequence[str]) -> Confined:
        """Return what to run in the place of a command."""
        report, path = tempfile.mkstemp(prefix="isolation-", dir=self.area.parent)
        os.close(report)
        network = self._network()
        connect, listen = usable(self.needs.ports, self.needs.env) if network == "ports" else ((), ())
        plan = Plan(
            self.readable,
            (os.path.realpath(self.area),),
            path,
            self.ways.namespaces,
            self.ways.landlock,
            self.uid,
            network,
            connect,
            listen,
        )
        # Git ends where the system's configuration is there and cannot be read; in namespaces it is not there.
        variables = {} if self.ways.namespaces else {"GIT_CONFIG_NOSYSTEM": "1"}
        return Confined([*launcher(plan), *command], Path(path), variables)

    def _network(self) -> Network:
        if self.needs.unrestricted_network:
            return "host"
        return "ports" if self.ways.restricts_ports else "none"


@contextmanager
def confinement(area: Path, needs: Needs, ways: Isolation) -> Iterator[Confinement]:
    """Prepare the isolation of a job's commands; blocks for some milliseconds.

    Args:
        area: Exists; it and what is in it is all that the commands may write.

    Raises:
        NoAccount: As root, where every account is taken.
    """
    allowed = readable(needs.commands, needs.env, needs.read, needs.hidden)
    allowed = tuple(dict.fromkeys([*allowed, *(os.path.realpath(folder) for folder in needs.objects)]))
    if not ways.root:
        yield Confinement(area, ways, None, needs, allowed)
        return
    with borrowed() as uid:
        yield Confinement(area, ways, uid, needs, allowed)
