"""The static files, served under names that contain a hash of their content so that browsers can cache them."""

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

_IMMUTABLE: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file in memory."""

    content: bytes
    content_type: str


class StaticFiles:
    """All files of the folder `static`, by hashed name."""

    def __init__(self) -> None:
        self._by_name: dict[str, StaticFile] = {}
        self._hashed: dict[str, str] = {}
        for entry in files("cogo_dagster.web").joinpath("static").iterdir():
            content = entry.read_bytes()
            stem, _, ending = entry.name.rpartition(".")
            hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
            kind = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
            self._by_name[hashed] = StaticFile(content, kind)
            self._hashed[entry.name] = hashed

    def address(self, name: str) -> str:
        """Return the address of a file."""
        return f"/static/{self._hashed[name]}"

    def mount(self) -> Mount:
        """Return the route of the static files."""
        return Mount("/static", routes=[Route("/{name}", self._serve)])

    async def _serve(self, request: Request) -> Response:
        file = self._by_name.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("Not found.\n", 404)
        return Response(file.content, media_type=file.content_type, headers={"cache-control": _IMMUTABLE})


@cache
def static_files() -> StaticFiles:
    """Return the static files, which all applications of the process share."""
    return StaticFiles()
