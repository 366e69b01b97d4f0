"""Package indexes of companies: pages of links, without the times of the uploads."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import httpx
import pytest

from cogo_dagster.settings import PROJECT_ROOT

UPSTREAM: Final = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
"""The index that this machine is configured for."""


class Mirror(BaseHTTPRequestHandler):
    """Passes on the pages of the index as HTML, which has no place for a time."""

    asked: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        """Answer with a page of links."""
        name = self.path.removeprefix("/simple/").strip("/")
        page = f"{UPSTREAM.rstrip('/')}/{name}/"
        answer = httpx.get(page, headers={"Accept": "text/html"}, follow_redirects=True, timeout=60)
        links = re.sub(r'href="([^"]+)"', lambda link: f'href="{urljoin(page, link[1])}"', answer.text)
        Mirror.asked |= {name}
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(links.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    """Serve an index; return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def chosen(project: Path, mirror: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Choose the versions of all packages, as `uv run` does at first."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    command = ["uv", "lock", "--no-cache", "--default-index", mirror, *options]
    return subprocess.run(command, cwd=project, env=ours, capture_output=True, text=True, check=False)


@pytest.mark.timeout(400)  # for a busy machine: it asks for some 180 pages
def test_an_index_without_upload_times_serves_the_project(tmp_path: Path, mirror: str) -> None:
    """Every package comes from it, of the dependency groups too, in the versions that are pinned."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    done = chosen(tmp_path, mirror)
    assert done.returncode == 0, done.stderr
    assert {"dagster", "playwright", "pytest", "procrastinate"} <= Mirror.asked
    lock = (tmp_path / "uv.lock").read_text(encoding="utf-8")
    assert "upload-time" not in lock
    assert 'name = "playwright"\nversion = "1.64.1"' in lock


def test_such_an_index_cannot_be_asked_for_a_day(tmp_path: Path, mirror: str) -> None:
    """This is what the pins are for."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["humanize"]\n')
    assert chosen(tmp_path, mirror).returncode == 0
    done = chosen(tmp_path, mirror, "--exclude-newer", "2026-11-14")
    assert done.returncode != 0
    assert "missing an upload date" in done.stderr
