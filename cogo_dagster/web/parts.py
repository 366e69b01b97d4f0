"""What handlers take from the application they run in."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader

from cogo_dagster.bootstrap import Application
from cogo_dagster.settings import Settings
from cogo_dagster.web.access import SESSION_COOKIE, Access, Refused, Session, actor_name
from cogo_dagster.web.backend import Backend

_ADMIN_TOKEN: Final = APIKeyHeader(
    name="x-admin-token",
    scheme_name="admin token",
    description="QUALITY_NOTIFY_ADMIN_TOKEN, else the vault's quality:notify:admin_token.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True)
class Web:
    """What one server is made of.

    Attributes:
        exposed: Whether it listens beyond this machine: then reading needs the token too.
    """

    settings: Settings
    backend: Backend
    access: Access
    exposed: bool = False


def web_of(request: Request) -> Web:
    """Return the server's parts."""
    web: Web = request.app.state.web
    return web


def session_of(request: Request) -> Session | None:
    """Return the operator who is logged in to the dashboard, if anybody is."""
    return web_of(request).access.session(request.cookies.get(SESSION_COOKIE))


def application_of(request: Request) -> Application:
    """Return the open application.

    Raises:
        QueueError: The database cannot be reached or used.
    """
    return web_of(request).backend.application


def require_reader(
    request: Request,
    x_admin_token: Annotated[str | None, Header(description="Needed to read beyond this machine only.")] = None,
) -> None:
    """Let everybody on this machine read; elsewhere, those with the token or a session.

    Raises:
        Refused: Neither is there.
    """
    web = web_of(request)
    if web.exposed and session_of(request) is None:
        web.access.require(x_admin_token)


def require_admin(
    request: Request,
    x_admin_token: Annotated[str | None, Security(_ADMIN_TOKEN)],
    x_actor: Annotated[str | None, Header(description="Who does this, as the log keeps it.", max_length=200)] = None,
) -> str:
    """Let the holder of the admin token act; return the name for the log.

    Raises:
        Refused: The token is absent or wrong, or none is set.
    """
    web_of(request).access.require(x_admin_token)
    return f"api:{actor_name(x_actor)}"


AppPart = Annotated[Application, Depends(application_of)]
WebPart = Annotated[Web, Depends(web_of)]
Actor = Annotated[str, Depends(require_admin)]

__all__ = ["Actor", "AppPart", "Refused", "Web", "WebPart", "require_reader", "session_of"]
