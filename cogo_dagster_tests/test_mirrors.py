"""Package indexes of companies: HTML pages of links, without upload times."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx
import pytest

from cogo_dagster.settings import PROJECT_ROOT

UPSTREAM: Final = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
"""The configured index of this machine."""

CLIENT: Final = httpx.Client(follow_redirects=True, timeout=60)
"""One for all pages: a new client reads the certificates of all authorities."""


class Mirror(BaseHTTPRequestHandler):
    """Serves the pages of the index as HTML, which has no upload times."""

    asked: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        """Respond with a page of links."""
        name = self.path.removeprefix("/simple/").strip("/")
        page = f"{UPSTREAM.rstrip('/')}/{name}/"
        answer = CLIENT.get(page, headers={"Accept": "text/html"})
        # Links may be relative to the page.
        links = answer.content.replace(b"<a ", f'<base href="{page}"><a '.encode(), 1)
        Mirror.asked |= {name}
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(links)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    """Yield the URL of an index."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def chosen(project: Path, mirror: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Resolve the versions of all packages, as `uv run` does first."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    command = ["uv", "lock", "--no-cache", "--default-index", mirror, *options]
    return subprocess.run(command, cwd=project, env=ours, capture_output=True, text=True, check=False)


@pytest.mark.timeout(400)  # some 180 pages are downloaded
def test_an_index_without_upload_times_serves_the_project(tmp_path: Path, mirror: str) -> None:
    """All packages, including those of dependency groups, are resolved to the pinned versions."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    done = chosen(tmp_path, mirror)
    assert done.returncode == 0, done.stderr
    assert {"dagster", "playwright", "pytest", "procrastinate"} <= Mirror.asked
    lock = (tmp_path / "uv.lock").read_text(encoding="utf-8")
    assert "upload-time" not in lock
    assert 'name = "playwright"\nversion = "1.64.1"' in lock


def test_such_an_index_does_not_support_exclude_newer(tmp_path: Path, mirror: str) -> None:
    """This is the reason for the pins."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["humanize"]\n')
    assert chosen(tmp_path, mirror).returncode == 0
    done = chosen(tmp_path, mirror, "--exclude-newer", "2026-11-14")
    assert done.returncode != 0
    assert "missing an upload date" in done.stderr
