# ruff: noqa: INP001 - docs is a folder of pages, not a package
"""Take the screenshots of the README from a running system.

    uv run python -m docs.screenshots

Starts `cogo dev` with an embedded database in a temporary folder, runs browser jobs against pages on this machine,
records gate runs, and writes docs/images. Takes about two minutes.
"""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from cogo_dagster import NewJob
from cogo_dagster.bootstrap import open_application
from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.queue.client import Queue
from cogo_dagster.settings import PROJECT_ROOT, Settings, is_root

FOLDER: Final = PROJECT_ROOT / "docs" / "images"
MAX_BYTES: Final = 200_000
COGO: Final = str(Path(sys.executable).with_name("cogo"))

_PAGES: Final = ("products", "checkout", "invoices", "reports/weekly", "orders", "pricing", "status")
_HTML: Final = "<title>{0}</title><style>body{{font:18px sans-serif;margin:3rem}}</style><h1>{0}</h1><p>Shop</p>"
_TIMEOUT_SECONDS: Final = 180


def main() -> None:
    """Start the system, fill it, and write the images."""
    FOLDER.mkdir(exist_ok=True)
    with ExitStack() as stack:
        site, release = stack.enter_context(_site())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cogo-screenshots-")))
        home.chmod(0o755)  # as root, the account that runs PostgreSQL must be able to enter it
        environment = _environment(home, site)
        stack.callback(_cogo, environment, "db", "destroy", "--yes")
        addresses = stack.enter_context(_dev(environment))
        application = stack.enter_context(open_application(Settings(_env_file=None, COGO_HOME=home)))
        stack.callback(release.set)
        _fill(application.queue, site, environment)
        browser = stack.enter_context(_browser())
        for name, take in _pictures(addresses).items():
            _write(FOLDER / f"{name}.png", take(browser))


def _fill(queue: Queue, site: str, environment: Mapping[str, str]) -> None:
    """Run jobs that succeed and fail, record gate runs, and leave some jobs running and queued."""
    choose = random.Random(7)  # noqa: S311 - the same pages each time
    urls = [f"{site}/{choose.choice(_PAGES)}" for _ in range(32)]
    jobs = [NewJob(choose.choice(["browser", "browser", "browser.pdf"]), {"url": url}) for url in urls]
    jobs += [NewJob("browser", {"url": f"{site}/missing/{n}"}, max_attempts=1) for n in range(3)]
    queue.enqueue(jobs)
    for n in range(10):
        words = ("--status", "fail" if n in (2, 7) else "pass", "--branch", "main", "--commit", f"{n}{'c0ffee' * 6}")
        _cogo(environment, "gate", "record", *words, "--build-seconds", str(38 + n), "--test-seconds", str(95 - 3 * n))
    _until(lambda: not queue.list_jobs(statuses=["queued", "running"]), "all jobs ended")
    queue.enqueue([NewJob("browser", {"url": f"{site}/slow/{n}"}) for n in range(6)])
    _until(lambda: queue.list_jobs(statuses=["running"]) and not queue.stats().slots_free, "all slots are in use")


def _pictures(addresses: Mapping[str, str]) -> dict[str, Callable[[Browser], bytes]]:
    dashboard = addresses["dashboard_url"]
    return {
        "dashboard": lambda browser: _picture(browser, dashboard, _settled),
        "dagster": lambda browser: _picture(
            browser, f"{addresses['dagster_url']}/locations/cogo/jobs/process_jobs", _drawn
        ),
    }


def _picture(browser: Browser, url: str, wait: Callable[[Page], None]) -> bytes:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page.goto(url)
    wait(page)
    picture = page.screenshot(animations="disabled")
    page.close()
    return picture


def _settled(page: Page) -> None:
    """The dashboard keeps a connection open for updates, so that the network is never idle.

    It reads the numbers and the reasons one after the other: load it again until both have the same age of a job.
    """
    age = page.locator(".tile", has_text="Oldest due").locator("b")
    reasons = page.locator("#waiting")
    _until(lambda: page.reload() and f"oldest {age.inner_text()}" in reasons.inner_text(), "the ages agree")
    page.wait_for_load_state("load")


def _drawn(page: Page) -> None:
    page.get_by_text("upload_artifacts").first.wait_for(timeout=60_000)
    page.wait_for_load_state("networkidle")


def _write(path: Path, picture: bytes) -> None:
    """Write a picture, compressed better than Chromium does.

    Raises:
        ValueError: It is still larger than the README should load.
    """
    small = _recompressed(picture)
    if len(small) > MAX_BYTES:
        raise ValueError(f"{path.name} has {len(small):,} bytes; at most {MAX_BYTES:,} are allowed.")
    path.write_bytes(small)
    sys.stdout.write(f"Wrote {path.relative_to(PROJECT_ROOT)}, {len(small):,} bytes.\n")


def _recompressed(png: bytes) -> bytes:
    """Return the same picture with one IDAT chunk at the highest level of zlib, and without other optional chunks."""
    chunks, at = [], 8
    while at < len(png):
        [size] = struct.unpack(">I", png[at : at + 4])
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += size + 12
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    kept = [(b"IHDR", dict(chunks)[b"IHDR"]), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    return png[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in kept
    )


def _environment(home: Path, site: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "COGO_HOME": str(home),
        "COGO_GRACE_SECONDS": "1",
        "WORKER_ID": "worker-1",
        "BROWSER_ALLOWED_HOSTS": site.removeprefix("http://"),
        "NO_SANDBOX": str(is_root()).lower(),
    }


def _cogo(environment: Mapping[str, str], *words: str) -> None:
    subprocess.run([COGO, *words], cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True, timeout=120)  # noqa: S603 - our own


@contextmanager
def _dev(environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Start `cogo dev`; yield the document that it prints."""
    command = [COGO, "dev", "--port", str(_free_port()), "--web-port", str(_free_port()), "--json"]
    log = Path(environment["COGO_HOME"]) / "dev.err"
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own
            command, cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout  # noqa: S101 - piped above
    try:
        text = ""
        while not text.rstrip().endswith("}"):
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"`cogo dev` ended: {log.read_text()[-2000:]}")
            text += line
        yield json.loads(text)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextmanager
def _browser() -> Iterator[Browser]:
    program = find_browser(BrowserOptions(), install=True).executable_path
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=not is_root())
        yield browser
        browser.close()


@contextmanager
def _site() -> Iterator[tuple[str, Event]]:
    """Serve pages on this machine; those below /slow respond once the event is set."""
    release = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            if name.startswith("slow"):
                release.wait(_TIMEOUT_SECONDS)
            body = _HTML.format(name.title() or "Shop").encode()
            self.send_response(404 if name.startswith("missing") else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", release
    server.shutdown()


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Within {_TIMEOUT_SECONDS} s it did not happen that {what}.")
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
