"""Runs `cogo` as a user does, and finds the processes that it starts."""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import PROJECT_ROOT, is_root
from cogo_dagster_tests.cli.terminal import Answer, Terminal
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.forks import PROGRAM
from cogo_dagster_tests.ports import reserved_port
from cogo_dagster_tests.processes import started_with
from cogo_dagster_tests.servers import swept_home

T = TypeVar("T")

LEASE_SECONDS = 10


@dataclass(frozen=True)
class Home:
    """A home folder and its environment, independent of the caller's settings."""

    folder: Path
    allowed_host: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all processes."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "COGO_HOME": str(self.folder),
            "COGO_LEASE_SECONDS": str(LEASE_SECONDS),
            "COGO_GRACE_SECONDS": "5",
            "BROWSER_ALLOWED_HOSTS": self.allowed_host,
            "BROWSER_NAV_TIMEOUT_MS": "120000",
            "NO_SANDBOX": str(is_root()).lower(),
        }

    def cogo(self, *arguments: str, seconds: float = 90) -> Answer:
        """Run a command and wait for it."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=PROJECT_ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def processes(self) -> list[int]:
        """Return the ids of the processes of this home."""
        return started_with("COGO_HOME", str(self.folder))


@contextmanager
def a_home(site: Site) -> Iterator[Home]:
    """Create a home folder, which is removed with its database."""
    # Not in pytest's temporary folder, which is private: as root, the servers run as another user.
    with swept_home(uuid4().hex[:12]) as folder:
        yield Home(folder, site.authority)


@dataclass(frozen=True)
class Dev:
    """A running `cogo dev`."""

    home: Home
    url: str
    web_url: str
    process: "subprocess.Popen[str]"
    queue: Queue

    def enqueue(self, url: str, **payload: Json) -> str:
        """Enqueue a browser job from this process; return its id."""
        document = json.dumps({"url": url, **payload})
        enqueued = Terminal(PROJECT_ROOT, self.home.environment).ok("enqueue", "browser", "--payload", document)
        return str(enqueued["job_id"])

    def job(self, job_id: str) -> Json:
        """Return a job."""
        [job] = self.queue.get_jobs([UUID(job_id)])
        return job.document

    def until(self, probe: Callable[[], T], what: str, seconds: float = 60) -> T:
        """Poll until the result is true, and return it; on a timeout, raise with the end of Dagster's log."""
        try:
            return eventually(probe, what, seconds)
        except AssertionError as error:
            log = (self.home.folder / "dagster" / "dev.log").read_text(errors="replace")
            jobs = [(job.document["status"], job.document["error"]) for job in self.queue.list_jobs()]
            raise AssertionError(f"{error}\n{jobs}\n{log[-3000:]}") from None

    def printed(self) -> Json:
        """Return the document that `cogo dev` printed; it can be read once."""
        assert self.process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            line = self.process.stdout.readline()
            assert line, "`cogo dev` ended unexpectedly."
            text += line
        return json.loads(text)

    def graphql(self, query: str, **variables: str) -> Json:
        """Query the Dagster webserver."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            document = json.load(answer)
        assert "errors" not in document, document
        return document["data"]

    def interrupt(self) -> int:
        """Send SIGINT; return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def running_dev(home: Home, program: Path = PROGRAM, folder: Path = PROJECT_ROOT) -> Iterator[Dev]:
    """Start `cogo dev` in a folder and wait for its UI; kill all its processes at the end."""
    with reserved_port() as port, reserved_port() as web_port:
        process = subprocess.Popen(
            [program, "dev", "--port", str(port), "--web-port", str(web_port), "--json"],
            cwd=folder,
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: _responds(f"{url}/server_info") or process.poll() is not None, "the UI responded", 120)
            assert process.poll() is None, "`cogo dev` ended by itself."
            transport = PostgresTransport(EmbeddedServer(home.folder).dsn())
            yield Dev(home, url, f"http://127.0.0.1:{web_port}", process, Queue(transport))
            transport.close()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(60)
        finally:
            for pid in {process.pid, *home.processes()}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.communicate(timeout=30)


def eventually(probe: Callable[[], T], what: str, seconds: float = 60) -> T:
    """Poll something outside of this process until the result is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (seen := probe()):
        assert time.monotonic() < deadline, f"Not within {seconds:g} s: {what}."
        time.sleep(0.2)
    return seen


def _responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
