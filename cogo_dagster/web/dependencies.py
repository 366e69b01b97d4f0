"""What handlers take from the application they run in, and the rules that say who may ask for a route."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, Header, Request, Response, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyHeader

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError
from cogo_dagster.queue.limits import call_limit
from cogo_dagster.settings import Settings, SettingsError
from cogo_dagster.vault.access_tokens import Holder, Role, WebSession
from cogo_dagster.vault.vault_errors import VaultError
from cogo_dagster.web.access import SESSION_COOKIE, Access, RequestDenied, named
from cogo_dagster.web.backend import PATIENCE_SECONDS, Backend
from cogo_dagster.web.clients import address_of, client_key

_ADMIN_TOKEN: Final = APIKeyHeader(
    name="x-admin-token",
    scheme_name="access token",
    description="A token made with `cogo tokens create`, or the admin token: QUALITY_NOTIFY_ADMIN_TOKEN, else the "
    "vault's quality:notify:admin_token.",
    auto_error=False,
)

AccessRule = Literal["open", "metrics", "viewer", "operator", "admin"]
"""Who may ask: anybody; Prometheus; or at least this role."""

T = TypeVar("T", bound=Callable[..., object])
P = TypeVar("P")

_PROBES: Final = CapacityLimiter(8)

_RULES: Final[dict[object, AccessRule]] = {}


class PageRenderer(Protocol):
    """Makes the dashboard's pages: `web.render.Pages`."""

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: object,
    ) -> Response:
        """Answer with a page."""
        ...

    def problem(self, request: Request, status: int, sentence: str, headers: Mapping[str, str]) -> Response:
        """Answer with a page that says what went wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Web:
    """What one server is made of."""

    settings: Settings
    backend: Backend
    access: Access
    pages: PageRenderer


def rule(name: AccessRule) -> Callable[[T], T]:
    """Mark a dependency as what decides who may ask for a route."""

    def mark(dependency: T) -> T:
        _RULES[dependency] = name
        return dependency

    return mark


def rules_of(dependant: Dependant) -> set[AccessRule]:
    """Return the rules that a route depends on; a route without one must not be served."""
    found = {_RULES[dependant.call]} if dependant.call in _RULES else set()
    return found.union(*(rules_of(one) for one in dependant.dependencies))


def web_of_app(app: FastAPI) -> Web:
    """Return the parts of the server that an application is for."""
    web: Web = app.state.web
    return web


def web_of(request: Request) -> Web:
    """Return the server's parts."""
    return web_of_app(request.app)


def client_of(request: Request) -> str:
    """Return whom wrong tokens are counted under."""
    return client_key(request.client.host if request.client else None)


def session_of(request: Request) -> WebSession | None:
    """Return who is logged in to the dashboard, if anybody is; the database is asked once a request."""
    if not hasattr(request.state, "session"):
        request.state.session = web_of(request).access.session(request.cookies.get(SESSION_COOKIE))
    session: WebSession | None = request.state.session
    return session


def application_of(request: Request) -> Application:
    """Return the open application.

    Raises:
        QueueError: The database cannot be reached or used.
    """
    return web_of(request).backend.application


def is_open_here(request: Request) -> bool:
    """Whether this is `cogo dev`, asked from this machine, where reading needs no session."""
    peer = address_of(request.client.host) if request.client else None
    return web_of(request).access.open_here and peer is not None and peer.is_loopback


def may_read(request: Request) -> bool:
    """Whether whoever asks may see more than an open route shows; a wrong token, or no database, is no error."""
    try:
        return is_open_here(request) or holder_of(request, request.headers.get("x-admin-token")) is not None
    except DatabaseUnavailable as error:
        web_of(request).backend.failed(error)  # so that what follows does not wait for it again
        return False
    except (RequestDenied, QueueError, VaultError, SettingsError):
        return False


def has_lost_access(request: Request) -> bool:
    """Whether whoever was let in may not read any more; a database that cannot be asked ends nobody's session."""
    if hasattr(request.state, "session"):
        del request.state.session
    try:
        return not is_open_here(request) and holder_of(request, request.headers.get("x-admin-token")) is None
    except RequestDenied:
        return True
    except (QueueError, VaultError, SettingsError):
        return False


def holder_of(request: Request, given: str | None) -> Holder | None:
    """Return who asks: the holder of the token that was sent, else of the session, else of a signed address.

    Raises:
        RequestDenied: The token is wrong.
    """
    if given is not None:
        return web_of(request).access.holder_of(as_sent(given), client_of(request))
    session = session_of(request)
    return session.holder if session else _signed(request)


def as_sent(header: str) -> str:
    """Return a header's text as its sender wrote it: it was read as Latin-1, and is UTF-8 wherever people type it."""
    return header.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


async def probed(probe: Callable[[], P]) -> P:
    """Answer a probe in threads that no page may take: those may all wait for the database."""
    return await to_thread.run_sync(probe, limiter=_PROBES)


@rule("open")
async def anybody() -> None:  # not in a thread: those may all wait for the database
    """Let everybody ask; what the route answers must be fit for everybody."""


@rule("viewer")
def require_reader(
    request: Request,
    x_admin_token: Annotated[str | None, Header(description="A token of any role; a browser has a session.")] = None,
) -> None:
    """Let those who hold a token or have a session read.

    Raises:
        RequestDenied: Neither is there, or the token is wrong.
    """
    if x_admin_token is None and is_open_here(request):
        return
    if holder_of(request, x_admin_token) is None:
        raise _nobody()


@rule("metrics")
async def require_scraper(
    request: Request,
    x_admin_token: Annotated[str | None, Header(description="A token of any role.")] = None,
    authorization: Annotated[str | None, Header(description="Or `Bearer` and the token, as of Prometheus.")] = None,
) -> None:
    """Let those read the metrics who may read, or everybody with COGO_METRICS_OPEN=true.

    Raises:
        RequestDenied: As `require_reader`.
    """
    kind, _, bearer = (authorization or "").partition(" ")
    given = x_admin_token if x_admin_token is not None else bearer.strip() if kind.lower() == "bearer" else None
    if not web_of(request).settings.metrics_open:
        await probed(lambda: _check_scraper(request, given))


def _check_scraper(request: Request, given: str | None) -> None:
    with call_limit(PATIENCE_SECONDS):
        require_reader(request, given)


@rule("operator")
def require_operator(
    request: Request,
    x_admin_token: Annotated[str | None, Security(_ADMIN_TOKEN)],
    x_actor: Annotated[str | None, Header(description="Who does this, as the log keeps it.", max_length=200)] = None,
) -> str:
    """Let an operator act by a token; a session alone is not enough here. Return the name for the log.

    Raises:
        RequestDenied: The token is absent or wrong, or its role is too small.
    """
    return _actor(request, x_admin_token, x_actor, "operator")


@rule("admin")
def require_admin(
    request: Request,
    x_admin_token: Annotated[str | None, Security(_ADMIN_TOKEN)],
    x_actor: Annotated[str | None, Header(description="Who does this, as the log keeps it.", max_length=200)] = None,
) -> str:
    """Let an administrator act by a token; as `require_operator`."""
    return _actor(request, x_admin_token, x_actor, "admin")


@rule("admin")
def require_admin_reader(
    request: Request,
    x_admin_token: Annotated[str | None, Header(description="A token of an administrator.")] = None,
) -> None:
    """Let administrators read, by token or session.

    Raises:
        RequestDenied: As `require_reader`, or the role is too small.
    """
    holder = holder_of(request, x_admin_token)
    if holder is None:
        raise _nobody()
    check_role(holder, "admin")


def check_role(holder: Holder, role: Role) -> None:
    """Let pass who may.

    Raises:
        RequestDenied: The role is too small.
    """
    if not holder.may(role):
        raise RequestDenied(403, f"This needs the role {role}; {holder.name} has the role {holder.role}.")


def _actor(request: Request, given: str | None, name: str | None, role: Role) -> str:
    holder = web_of(request).access.holder_of(None if given is None else as_sent(given), client_of(request))
    check_role(holder, role)
    return f"api:{named(holder, name)}"


def _signed(request: Request) -> Holder | None:
    given: Mapping[str, str] = request.query_params
    artifact_id = request.path_params.get("artifact_id")
    if request.method != "GET" or artifact_id is None or not {"session", "expires", "signature"} <= given.keys():
        return None
    access = web_of(request).access
    return access.signed_holder(str(artifact_id), given["session"], given["expires"], given["signature"])


def _nobody() -> RequestDenied:
    return RequestDenied(
        401, "This needs a session of the dashboard, or the header x-admin-token with an access token."
    )


AppPart = Annotated[Application, Depends(application_of)]
WebPart = Annotated[Web, Depends(web_of)]
Actor = Annotated[str, Depends(require_operator)]
Admin = Annotated[str, Depends(require_admin)]
