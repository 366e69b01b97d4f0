"""Playwright's own trace viewer, which the package `playwright` brings along, served from here.

It shows what strangers' pages sent, so it lives under a name of its own (`traces.localhost`), where no session is.
Browsers know that name as this machine; beyond this machine a trace is downloaded instead.
"""

import mimetypes
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from cogo_dagster.web.headers import LOOPBACK, TRACES_HOST

_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; "
    "style-src * 'unsafe-inline' blob: data:; "
    "img-src 'self' blob: data:; font-src 'self' blob: data:; media-src 'self' blob: data:; worker-src 'self' blob:; "
    "frame-src 'self' blob: data:; connect-src 'self' blob: data:; form-action 'none'; frame-ancestors 'self'"
)


def viewer_address(request: Request, artifact_id: str, signed: Mapping[str, str]) -> str | None:
    """Return where a trace can be looked at; None beyond this machine.

    Args:
        signed: Parameters that let the viewer read this one artifact: it has no session.
    """
    if request.url.hostname not in LOOPBACK:
        return None
    base = f"{request.url.scheme}://{TRACES_HOST}" + (f":{request.url.port}" if request.url.port else "")
    content = f"{base}/api/artifacts/{artifact_id}/content" + (f"?{urlencode(signed)}" if signed else "")
    return f"{base}/traces/index.html?trace={quote(content, safe='')}"


def viewer_mount() -> Mount:
    """Return the viewer's routes."""
    return Mount("/traces", routes=[Route("/{name:path}", _serve)])


async def _serve(request: Request) -> Response:
    folder = _folder()
    if request.url.hostname != TRACES_HOST or folder is None:
        return PlainTextResponse("There is nothing here.\n", 404)
    path = (folder / request.path_params["name"]).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        return PlainTextResponse("There is no such file.\n", 404)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {"content-security-policy": _POLICY, "x-frame-options": "SAMEORIGIN", "cache-control": "no-cache"}
    return FileResponse(path, media_type=kind, headers=headers)


def _folder() -> Path | None:
    spec = find_spec("playwright")
    if spec is None or not spec.origin:
        return None
    return (Path(spec.origin).parent / "driver" / "package" / "lib" / "vite" / "traceViewer").resolve()
