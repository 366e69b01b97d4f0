"""A test environment: a folder, an account, and a worker that runs one command in isolation."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from cogo_dagster.executors.isolation.machine import Isolation
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests import machine
from cogo_dagster_tests.executors.isolation.attack import ATTEMPTS
from cogo_dagster_tests.programs import missing

ORDINARY: Final = 43_210
ACCOUNTS: Final = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
HERE: Final = Path(__file__).parent
PACKAGES: Final = next(path for path in map(Path, sys.path) if (path / "pytest" / "__init__.py").is_file())

ALL: Final[Mapping[str, Any]] = {}
LANDLOCK: Final = {"namespaces": False}
OLD_LANDLOCK: Final = {"namespaces": False, "landlock": 1}
NAMESPACES: Final = {"landlock": 0}


def reachable(python: Path) -> bool:
    """Return whether every account can execute a program; programs in root's home are not accessible to others."""
    return os.geteuid() != 0 or all(one.stat().st_mode & 0o001 for one in python.resolve().parents)


@dataclass
class Machine:
    """A folder in which a worker with some account runs a command.

    Attributes:
        before: Arguments before those that change the account.
        python: A Python that every account can execute.
    """

    top: Path
    account: str
    before: tuple[str, ...] = ()
    checkout: Path = field(init=False)
    python: str = field(init=False)

    def __post_init__(self) -> None:
        self.checkout = self.top / "job" / "gate" / "checkout"
        self.checkout.mkdir(parents=True)
        (self.checkout.parent / "home").mkdir()
        found = [Path(sys.executable), *(Path(f"/usr/bin/python3{minor}") for minor in (".13", ".12", ".11", ""))]
        self.python = str(next(one for one in found if one.exists() and reachable(one)))

    def command_line(
        self, *commands: Sequence[str], ways: Mapping[str, Any] | None = ALL, read: Sequence[Path] = (), **env: str
    ) -> list[str]:
        """Return the command line of a worker that runs commands in turn; with None for `ways` without isolation."""
        given = {
            "top": str(self.top),
            "commands": commands,
            "ways": asdict(self.offers(ways)) if commands and ways is not None else None,
            "path": "/usr/local/bin:/usr/bin:/bin",
            "env": env,
            "read": [str(path) for path in read],
            "idle_port": 3_000,
        }
        code = (
            f"import sys, runpy; sys.path.insert(0, {str(PROJECT_ROOT)!r}); "
            "runpy.run_module(sys.argv.pop(1), run_name='__main__')"
        )
        command_line = [self.python, "-c", code, "cogo_dagster_tests.executors.isolation.worker", json.dumps(given)]
        if self.account == "root" or os.geteuid() != 0:
            return command_line
        subprocess.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", str(self.top)], check=True)
        return [*self.before, "setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", *command_line]

    def run(
        self, *command: str, ways: Mapping[str, Any] | None = ALL, read: Sequence[Path] = (), **env: str
    ) -> dict[str, Any]:
        """Run a command in the checkout, see `command_line`; return its result."""
        [result] = self.run_each(command, ways=ways, read=read, **env)
        return result

    def run_each(
        self, *commands: Sequence[str], ways: Mapping[str, Any] | None = ALL, read: Sequence[Path] = (), **env: str
    ) -> list[dict[str, Any]]:
        """Run commands one after the other in one worker, see `command_line`; return their results."""
        results: list[dict[str, Any]] = self._answer(self.command_line(*commands, ways=ways, read=read, **env))
        return results

    @staticmethod
    def _answer(command_line: Sequence[str]) -> Any:
        secret = {"SUPABASE_SERVICE_ROLE_KEY": "canary-" + "314159", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            command_line, capture_output=True, text=True, env=secret, timeout=150, cwd="/", check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def offers(self, ways: Mapping[str, Any] = ALL) -> Isolation:
        """Return the available mechanisms, limited to `ways`.

        If there are none, the test is skipped, or fails in continuous integration.
        """
        found = replace(_offered(self.account, self.before), **ways)
        if not found.possible:
            missing(*(machine.USER_NAMESPACES if ways is NAMESPACES else machine.LANDLOCK))
        return found

    def mechanisms(self) -> Isolation:
        """Return the mechanisms that a worker with this account finds."""
        return Isolation(**self._answer(self.command_line()))

    def attack(self, ways: Mapping[str, Any] | None = ALL) -> tuple[set[str], dict[str, Any]]:
        """Run the attack; return the successful attempts and the result."""
        shutil.copy(HERE / "attack.py", self.checkout)
        ended = self.run(self.python, "attack.py", "{target}", ways=ways)
        assert ended["exit_code"] == 0, ended
        achieved = json.loads((self.checkout / "achieved.json").read_text())
        assert set(achieved) == set(ATTEMPTS)
        return {name for name, done in achieved.items() if done}, ended


@cache
def _offered(account: str, before: tuple[str, ...]) -> Isolation:
    """It depends on no folder, and each answer is a process."""
    with temporary_machine(account) as asked:
        asked.before = before
        return asked.mechanisms()


@contextmanager
def temporary_machine(account: str) -> Iterator[Machine]:
    """Create a machine outside root's home, and remove it at the end."""
    top = Path(tempfile.mkdtemp(prefix="cogo-isolation-", dir="/var/tmp"))
    top.chmod(0o755)
    try:
        yield Machine(top, account)
    finally:
        shutil.rmtree(top, ignore_errors=True)
