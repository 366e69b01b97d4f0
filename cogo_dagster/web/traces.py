"""Serves Playwright's trace viewer, which is part of the package `playwright`.

A trace contains content of captured pages, so the viewer has a separate origin (`traces.localhost`) without a
session. Browsers resolve that name to the loopback address; on other machines a trace is downloaded instead.
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
    """Return the URL that shows a trace; None if the request is not for a loopback address.

    Args:
        signed: Query parameters that authorize reading this artifact, since the viewer has no session.
    """
    if request.url.hostname not in LOOPBACK:
        return None
    base = f"{request.url.scheme}://{TRACES_HOST}" + (f":{request.url.port}" if request.url.port else "")
    content = f"{base}/api/artifacts/{artifact_id}/content" + (f"?{urlencode(signed)}" if signed else "")
    return f"{base}/traces/index.html?trace={quote(content, safe='')}"


def viewer_mount() -> Mount:
    """Return the route of the viewer."""
    return Mount("/traces", routes=[Route("/{name:path}", _serve)])


async def _serve(request: Request) -> Response:
    folder = _folder()
    if request.url.hostname != TRACES_HOST or folder is None:
        return PlainTextResponse("Not found.\n", 404)
    path = (folder / request.path_params["name"]).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        return PlainTextResponse("Not found.\n", 404)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {"content-security-policy": _POLICY, "x-frame-options": "SAMEORIGIN", "cache-control": "no-cache"}
    return FileResponse(path, media_type=kind, headers=headers)


def _folder() -> Path | None:
    spec = find_spec("playwright")
    if spec is None or not spec.origin:
        return None
    return (Path(spec.origin).parent / "driver" / "package" / "lib" / "vite" / "traceViewer").resolve()
