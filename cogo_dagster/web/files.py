"""The pages' own style and script, under names that change with their content so that browsers may keep them."""

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, in memory."""

    content: bytes
    content_type: str


class StaticFiles:
    """Every file of the folder `static`, by its hashed name."""

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
        """Return where a file is served."""
        return f"/static/{self._hashed[name]}"

    def mount(self) -> Mount:
        """Return the routes."""
        return Mount("/static", routes=[Route("/{name}", self._serve)])

    async def _serve(self, request: Request) -> Response:
        file = self._by_name.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("There is no such file.\n", 404)
        return Response(file.content, media_type=file.content_type, headers={"cache-control": _FOR_EVER})
