"""The pages that the browser benchmarks open: `python -m benchmarks.browser_site FOLDER`, which prints the port.

It runs in its own process, so that its CPU time is not part of a job's. Connections are kept open.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cogo_dagster.settings import PROJECT_ROOT

IMAGES: Final = 60
NOISE: Final = 500
BROKEN_REQUESTS: Final = 30
DOCUMENTS: Final = (
    "operations", "architecture", "performance", "reliability", "dagster", "executors", "reference/commands",
    "reference/settings",
)  # fmt: skip

_REMOTE: Final = re.compile(r"""<(?:link|script|img)\b[^>]*(?:href|src)=["']?https?://[^>]*>""")
"""Elements that load something from another host, such as fonts."""

_STYLE: Final = "body{font:16px sans-serif}section{margin:8px;padding:8px;border:1px solid #999}img{width:60px}"
_SCRIPT: Final = (
    "for (let i = 0; i < 200; i++) { const s = document.createElement('section');"
    "s.textContent = 'Section ' + i + ' of a page that a script has made.'; document.body.append(s); }"
)
_PICTURE: Final = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='300' height='200'><circle cx='150' cy='100' r='{radius}'/></svg>"
)
_HEAD: Final = "<!doctype html><meta charset=utf-8><title>Measured</title><link rel=stylesheet href=/style.css>"
_SMALL: Final = f"{_HEAD}<h1>Measured</h1><img src=/pictures/0.svg><script src=/script.js></script>"
_MANY: Final = f"{_HEAD}<h1>Measured</h1>" + "".join(f"<img src=/pictures/{n}.svg>" for n in range(IMAGES))
_NOISY: Final = (
    f"{_HEAD}<h1>Measured</h1><script>for (let i = 0; i < {NOISE}; i++) console.error('Line', i, {{i}});</script>"
    + "".join(f"<img src=/missing/{n}.svg>" for n in range(BROKEN_REQUESTS))
)


@contextmanager
def site() -> Iterator[dict[str, list[str]]]:
    """Serve the pages; yield the URLs by the kind of page.

    `small` makes four requests, `many` 61; `docs` are pages of this project's documentation site, and `quiet` the same
    with an empty index of the search; `noisy` logs 500 lines and makes 30 requests that fail.
    """
    with TemporaryDirectory(prefix="cogo-benchmark-") as folder:
        _write_pages(Path(folder))
        program = [sys.executable, "-m", "benchmarks.browser_site", folder]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as process:
            try:
                assert process.stdout is not None
                base = f"http://127.0.0.1:{int(process.stdout.readline())}"
                yield {
                    "small": [f"{base}/small.html"],
                    "docs": [f"{base}/docs/{name}/" for name in DOCUMENTS],
                    "quiet": [f"{base}/quiet/{name}/" for name in DOCUMENTS],
                    "many": [f"{base}/many.html"],
                    "noisy": [f"{base}/noisy.html"],
                }
            finally:
                process.kill()


def _write_pages(folder: Path) -> None:
    pages = {"small.html": _SMALL, "many.html": _MANY, "noisy.html": _NOISY, "style.css": _STYLE, "script.js": _SCRIPT}
    for name, content in pages.items():
        (folder / name).write_text(content)
    (folder / "pictures").mkdir()
    for number in range(IMAGES):
        (folder / "pictures" / f"{number}.svg").write_text(_PICTURE.format(radius=40 + number))
    _build_documentation(folder / "docs")
    shutil.copytree(folder / "docs", folder / "quiet")
    index = folder / "quiet" / "search.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"items": []}))


def _build_documentation(target: Path) -> None:
    with TemporaryDirectory(prefix="cogo-benchmark-") as folder:
        source = Path(folder)
        shutil.copytree(PROJECT_ROOT / "docs", source / "docs")
        shutil.copy(PROJECT_ROOT / "zensical.toml", source)
        subprocess.run(
            [sys.executable, "-m", "zensical", "build"], cwd=source, check=True, capture_output=True, timeout=120
        )
        shutil.copytree(source / "site", target)
    for page in target.rglob("*.html"):
        page.write_text(_REMOTE.sub("", page.read_text()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Log nothing: browsers are killed while they load a page."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main() -> None:
    """Serve the folder until the process is killed."""
    server = _Server(("127.0.0.1", 0), partial(_Handler, directory=sys.argv[1]))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
