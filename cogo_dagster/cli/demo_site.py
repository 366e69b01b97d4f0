"""The small site the demo visits when it is given no address: its page is empty until JavaScript has run."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>COGO demo</title>
<style>
  body { font: 18px/1.5 system-ui, sans-serif; margin: 0; background: #0f172a; color: #e2e8f0 }
  main { max-width: 44rem; margin: 4rem auto; padding: 0 1.5rem }
  h1 { font-size: 2.4rem; margin: 0 0 .5rem } p { color: #94a3b8 }
  .bar { display: flex; align-items: center; gap: 1rem; margin: .6rem 0 }
  .bar b { width: 7rem } .bar i { display: block; height: 1.4rem; border-radius: .3rem; background: #38bdf8 }
</style></head>
<body><main><h1 id="title"></h1><p id="words"></p><div id="bars"></div></main>
<script src="/page.js"></script></body></html>
"""

_SCRIPT: Final = """
fetch('/data.json').then(answer => answer.json()).then(data => {
  document.getElementById('title').textContent = data.title
  document.getElementById('words').textContent = 'Everything on this page was drawn by JavaScript in a real browser.'
  for (const [name, value] of data.stages) {
    const bar = document.createElement('div'), label = document.createElement('b'), line = document.createElement('i')
    bar.className = 'bar'; label.textContent = name; line.style.width = value + '%'
    bar.append(label, line); document.getElementById('bars').append(bar)
  }
  document.body.dataset.ready = 'yes'
})
"""

_DATA: Final = (
    '{"title": "COGO Agent Core", "stages": [["claim", 30], ["execute", 85], ["upload", 45], ["settle", 20]]}'
)

_FILES: Final = {
    "/": ("text/html; charset=utf-8", _PAGE),
    "/page.js": ("text/javascript; charset=utf-8", _SCRIPT),
    "/data.json": ("application/json", _DATA),
}


@contextmanager
def demo_site() -> Iterator[str]:
    """Serve the site on a free loopback port; yield its address, without a slash at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, name="demo-site", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content_type, body = _FILES.get(self.path.partition("?")[0], ("text/plain", ""))
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""
