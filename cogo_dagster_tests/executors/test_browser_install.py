"""Installing packages: no signal interrupts it, and every wait has a timeout."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cogo_dagster.executors.browser import install
from cogo_dagster.executors.browser.install import Step, installer
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.queue.executor import Interrupted
from cogo_dagster.queue.stopping import STOP
from cogo_dagster_tests.cli.terminal import eventually
from cogo_dagster_tests.processes import lives

APT_GET = """#!/bin/sh
# Replaces apt-get and the dpkg that it runs: both must finish.
echo $$ > apt.pid.new; mv apt.pid.new apt.pid
sh -c 'echo $$ > dpkg.pid.new; mv dpkg.pid.new dpkg.pid; while [ ! -e go ]; do sleep 0.05; done; echo configured'
echo "apt ended well" > done
"""

FIND = """
import signal, sys
from pathlib import Path
from cogo_dagster.executors.browser.install import Step, installer
from cogo_dagster.queue.stopping import note_stop
if sys.argv[2] == "noting":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: note_stop())
with installer(Path(sys.argv[1]) / "install") as steps:
    steps.run(Step("Installing", ["apt-get", "install"]))
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with a fake apt-get, which runs in the returned folder until the file `go` exists."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "apt-get"
    program.write_text(APT_GET.replace("#!/bin/sh\n", f"#!/bin/sh\ncd {tmp_path}\n"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    STOP.reset()
    yield tmp_path
    STOP.reset()
    (tmp_path / "go").touch()
    for note in tmp_path.glob("*.pid"):
        eventually(lambda: not lives(int(note.read_text())))  # noqa: B023 - called in this round


def to_group(worker: "subprocess.Popen[bytes]", machine: Path) -> None:
    """Send Ctrl-C, and SIGTERM as a supervisor does to a process group."""
    os.killpg(worker.pid, signal.SIGINT)
    os.killpg(worker.pid, signal.SIGTERM)


def to_all(worker: "subprocess.Popen[bytes]", machine: Path) -> None:
    """Send SIGTERM to every process, as systemd does to a cgroup."""
    for pid in (worker.pid, *(int(note.read_text()) for note in machine.glob("*.pid"))):
        os.kill(pid, signal.SIGTERM)


def kill(worker: "subprocess.Popen[bytes]", machine: Path) -> None:
    """Kill the worker with its process group."""
    os.killpg(worker.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("end", "noting"),
    [*((end, noting) for end in (to_group, to_all) for noting in ("noting", "unprepared")), (kill, "unprepared")],
)
def test_no_signal_interrupts_a_package_manager(
    machine: Path, end: "Callable[[subprocess.Popen[bytes], Path], None]", noting: str
) -> None:
    """The worker ends at once; apt-get and dpkg finish, and the lock is held until then."""
    with subprocess.Popen([sys.executable, "-c", FIND, str(machine), noting], start_new_session=True) as worker:
        eventually((machine / "dpkg.pid").exists)
        end(worker, machine)
        assert worker.wait(10) != 0
    assert not (machine / "done").exists()
    got = threading.Event()

    def next_one() -> None:
        with installer(machine / "install"):
            assert (machine / "done").exists()
            got.set()

    waiting = threading.Thread(target=next_one, daemon=True)
    waiting.start()
    assert not got.wait(0.3)
    (machine / "go").touch()
    assert got.wait(10)
    assert (machine / "done").read_text() == "apt ended well\n"


def test_a_download_ends_with_the_stop(machine: Path) -> None:
    """A stop ends a download at once, since it can be repeated."""
    timer = threading.Timer(0.2, STOP.note_stop)
    timer.start()
    with pytest.raises(Interrupted), installer(machine / "install") as steps:
        steps.run(Step("Downloading", ["sh", "-c", "echo $$ > ~/download.pid; exec sleep 300"], packages=False))
    assert not lives(int((machine / "download.pid").read_text()))


@pytest.mark.parametrize("packages", [False, True])
def test_a_step_has_a_timeout(machine: Path, monkeypatch: pytest.MonkeyPatch, packages: bool) -> None:
    """On a timeout a download is killed and a package installation continues; the error names the log."""
    monkeypatch.setattr(install, "STEP_TIMEOUT_SECONDS", 0.5)
    with (
        pytest.raises(ExecutorUnavailable, match=r"took longer than .* see .*install-browser.log"),
        installer(machine / "install") as steps,
    ):
        steps.run(Step("Installing", [str(machine / "bin/apt-get")], packages=packages))
    assert lives(int((machine / "apt.pid").read_text())) is packages


def test_waiting_for_another_installation_has_a_timeout(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for another process's installation ends with a timeout or a stop."""
    with installer(machine / "install"):
        monkeypatch.setattr(install, "STEP_TIMEOUT_SECONDS", 0.2)
        with (
            pytest.raises(ExecutorUnavailable, match="Another process has been installing"),
            installer(machine / "install"),
        ):
            raise AssertionError
        monkeypatch.setattr(install, "STEP_TIMEOUT_SECONDS", 60)
        STOP.note_stop()
        with pytest.raises(Interrupted), installer(machine / "install"):
            raise AssertionError


def test_a_step_waits_for_the_lock_of_apt(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is retried while another program holds the lock of the package lists, for which apt-get does not wait."""
    monkeypatch.setattr(install, "_RETRY_SECONDS", 0.05)
    command = "[ -e ~/second ] && exit 0; touch ~/second; echo 'E: Could not get lock /var/lib/apt/lists'; exit 100"
    with installer(machine / "install") as steps:
        steps.run(Step("Reading the lists", ["sh", "-c", command]))
    assert (machine / "second").exists()


def test_interrupted_packages_are_reported_with_a_remedy(machine: Path) -> None:
    """An interrupted dpkg is reported with the command that repairs it."""
    output = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem."
    with (
        pytest.raises(ExecutorUnavailable, match="Run `dpkg --configure -a` as root"),
        installer(machine / "install") as steps,
    ):
        steps.run(Step("Installing", ["sh", "-c", 'echo "$0"; exit 100', output]))


def test_apt_waits_for_its_lock(machine: Path) -> None:
    """Apt waits for its lock even if Playwright runs it, through APT_CONFIG."""
    with installer(machine / "install") as steps:
        steps.run(Step("Installing", ["sh", "-c", "cp $APT_CONFIG ~/seen"]))
    assert (machine / "seen").read_text() == 'DPkg::Lock::Timeout "600";\n'


def test_a_stalled_download_is_killed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download without progress is killed even if it writes other output, and the reason is recorded."""
    monkeypatch.setattr(install, "STALL_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(install, "REPORT_SECONDS", 0.1)
    trying = "echo $$ > ~/download.pid; while :; do echo 'Error, trying again'; sleep 0.05; done"
    with installer(machine / "install") as steps:
        steps.run(Step("Downloading", ["sh", "-c", trying], packages=False))
        assert steps.problems == ["Downloading failed: no progress for 0 s"]
    assert not lives(int((machine / "download.pid").read_text()))


def test_the_progress_of_a_download_is_logged(
    machine: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The progress that Playwright prints is logged."""
    caplog.set_level("INFO")
    monkeypatch.setattr(install, "REPORT_SECONDS", 0.05)
    showing = "echo '|####   |  40% of 110.9 MiB'; while [ ! -e ~/go ]; do sleep 0.05; done"

    def watch() -> None:
        eventually(lambda: "Downloading: 40% of 110.9 MiB" in caplog.text)
        (machine / "go").touch()

    seen = threading.Thread(target=watch)
    seen.start()
    with installer(machine / "install") as steps:
        steps.run(Step("Downloading", ["sh", "-c", showing], packages=False))
    seen.join()
    assert "Downloading: 40% of 110.9 MiB" in caplog.text


def test_a_folder_that_is_not_writable_is_reported(machine: Path) -> None:
    """A folder that is not writable is reported with the setting for another one."""
    (machine / "install").write_text("")
    with (
        pytest.raises(ExecutorUnavailable, match=r"install is not writable .*\. Set COGO_HOME"),
        installer(machine / "install"),
    ):
        raise AssertionError


def test_the_configured_node_runs_the_installer(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAYWRIGHT_NODEJS_PATH is passed on to the installer."""
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", "/opt/node")
    with installer(machine / "install") as steps:
        steps.run(Step("Downloading", ["sh", "-c", 'echo "$PLAYWRIGHT_NODEJS_PATH" > ~/seen'], packages=False))
    assert (machine / "seen").read_text() == "/opt/node\n"
