"""Dependencies of the route handlers, and the access rules of routes."""

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
from cogo_dagster.web.backend import PROBE_TIMEOUT_SECONDS, Backend
from cogo_dagster.web.clients import address_of, client_key

_ADMIN_TOKEN: Final = APIKeyHeader(
    name="x-admin-token",
    scheme_name="access token",
    description="An access token (`cogo tokens create`), or the admin token: QUALITY_NOTIFY_ADMIN_TOKEN, else the "
    "vault's quality:notify:admin_token.",
    auto_error=False,
)

AccessRule = Literal["open", "metrics", "viewer", "operator", "admin"]
"""Who may call a route: anyone (`open`), Prometheus (`metrics`), or holders of at least this role."""

T = TypeVar("T", bound=Callable[..., object])
P = TypeVar("P")

_PROBES: Final = CapacityLimiter(8)

_RULES: Final[dict[object, AccessRule]] = {}


class PageRenderer(Protocol):
    """Renders the dashboard's pages: `web.render.Pages`."""

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: object,
    ) -> Response:
        """Return a page as a response."""
        ...

    def problem(
        self,
        request: Request,
        status: int,
        message: str,
        headers: Mapping[str, str],
        heading: str | None = None,
    ) -> Response:
        """Return an error page as a response."""
        ...


@dataclass(frozen=True, slots=True)
class Web:
    """The components of a server."""

    settings: Settings
    backend: Backend
    access: Access
    pages: PageRenderer


def rule(name: AccessRule) -> Callable[[T], T]:
    """Mark a dependency as the access rule of the routes that use it."""

    def mark(dependency: T) -> T:
        _RULES[dependency] = name
        return dependency

    return mark


def rules_of(dependant: Dependant) -> set[AccessRule]:
    """Return the access rules that a route depends on; a route without one must not be served."""
    found = {_RULES[dependant.call]} if dependant.call in _RULES else set()
    return found.union(*(rules_of(dependency) for dependency in dependant.dependencies))


def web_of_app(app: FastAPI) -> Web:
    """Return the components of an application's server."""
    web: Web = app.state.web
    return web


def web_of(request: Request) -> Web:
    """Return the components of the server that handles a request."""
    return web_of_app(request.app)


def client_of(request: Request) -> str:
    """Return the key under which failed attempts of a client are counted."""
    return client_key(request.client.host if request.client else None)


def session_of(request: Request) -> WebSession | None:
    """Return the dashboard session, if there is one; the database is queried once per request."""
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


def note_numbers(request: Request) -> None:
    """Read the numbers before the rows of a page, so that the page is fetched again if they changed since."""
    request.state.numbers = web_of(request).backend.numbers()


def is_open_here(request: Request) -> bool:
    """Whether reading needs no session: `cogo dev`, and a request from this machine."""
    peer = address_of(request.client.host) if request.client else None
    return web_of(request).access.open_here and peer is not None and peer.is_loopback


def may_read(request: Request) -> bool:
    """Whether the client has read access; False if the token is wrong or the database is unreachable."""
    try:
        return is_open_here(request) or holder_of(request, request.headers.get("x-admin-token")) is not None
    except DatabaseUnavailable as error:
        web_of(request).backend.failed(error)  # so that later calls of this request fail immediately
        return False
    except (RequestDenied, QueueError, VaultError, SettingsError):
        return False


def has_lost_access(request: Request) -> bool:
    """Whether a client that was authorized may no longer read. False while the database is unreachable."""
    if hasattr(request.state, "session"):
        del request.state.session
    try:
        return not is_open_here(request) and holder_of(request, request.headers.get("x-admin-token")) is None
    except RequestDenied:
        return True
    except (QueueError, VaultError, SettingsError):
        return False


def holder_of(request: Request, given: str | None) -> Holder | None:
    """Return the holder of the token in the request, else of the session, else of a signed URL.

    Raises:
        RequestDenied: The token is wrong.
    """
    if given is not None:
        return web_of(request).access.holder_of(as_sent(given), client_of(request))
    session = session_of(request)
    return session.holder if session else _signed(request)


def as_sent(header: str) -> str:
    """Decode a header as UTF-8, which clients send; Starlette decodes it as Latin-1."""
    return header.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


async def probed(probe: Callable[[], P]) -> P:
    """Run a probe in a thread of a separate pool: pages that wait for the database may occupy all other threads."""
    return await to_thread.run_sync(probe, limiter=_PROBES)


@rule("open")
async def allow_anonymous() -> None:  # async, since all threads may be waiting for the database
    """Allow all requests; the route must not return anything confidential."""


@rule("viewer")
def require_reader(
    request: Request,
    x_admin_token: Annotated[str | None, Header(description="A token of any role; or use a session.")] = None,
) -> None:
    """Require a token of any role, or a session.

    Raises:
        RequestDenied: Both are missing, or the token is wrong.
    """
    if x_admin_token is None and is_open_here(request):
        return
    if holder_of(request, x_admin_token) is None:
        raise _unauthenticated()


@rule("metrics")
async def require_scraper(
    request: Request,
    x_admin_token: Annotated[str | None, Header(description="A token of any role.")] = None,
    authorization: Annotated[
        str | None, Header(description="Alternative: `Bearer` and the token, as Prometheus sends it.")
    ] = None,
) -> None:
    """Require a token or a session for the metrics, unless COGO_METRICS_OPEN=true.

    Raises:
        RequestDenied: As `require_reader`.
    """
    kind, _, bearer = (authorization or "").partition(" ")
    given = x_admin_token if x_admin_token is not None else bearer.strip() if kind.lower() == "bearer" else None
    if not web_of(request).settings.metrics_open:
        await probed(lambda: _check_scraper(request, given))


def _check_scraper(request: Request, given: str | None) -> None:
    with call_limit(PROBE_TIMEOUT_SECONDS):
        require_reader(request, given)


@rule("operator")
def require_operator(
    request: Request,
    x_admin_token: Annotated[str | None, Security(_ADMIN_TOKEN)],
    x_actor: Annotated[str | None, Header(description="Actor for the operations log.", max_length=200)] = None,
) -> str:
    """Require a token of an operator, since a session alone could be used by CSRF. Return the actor for the log.

    Raises:
        RequestDenied: The token is missing or wrong, or its role does not suffice.
    """
    return _actor(request, x_admin_token, x_actor, "operator")


@rule("admin")
def require_admin(
    request: Request,
    x_admin_token: Annotated[str | None, Security(_ADMIN_TOKEN)],
    x_actor: Annotated[str | None, Header(description="Actor for the operations log.", max_length=200)] = None,
) -> str:
    """Require a token of an administrator. Return the actor for the log; see `require_operator`."""
    return _actor(request, x_admin_token, x_actor, "admin")


@rule("admin")
def require_admin_reader(
    request: Request,
    x_admin_token: Annotated[str | None, Header(description="A token of an administrator; or use a session.")] = None,
) -> None:
    """Require a token or a session of an administrator.

    Raises:
        RequestDenied: As `require_reader`, or the role does not suffice.
    """
    holder = holder_of(request, x_admin_token)
    if holder is None:
        raise _unauthenticated()
    check_role(holder, "admin")


def _check_parameters(request: Request) -> None:
    """Check that a request that changes something has no unknown parameter, such as a misspelt `dry_run`.

    Raises:
        RequestDenied: It has one.
    """
    route = request.scope.get("route")
    known = _parameters(route.dependant) if route is not None else set()
    unknown = next((name for name in request.query_params if name not in known), None)
    if unknown is not None:
        raise RequestDenied(
            422, f"The parameter {unknown[:100]} is unknown: remove it, or send it as a field of the body."
        )


def _parameters(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_parameters(dependency) for dependency in dependant.dependencies))


def check_role(holder: Holder, role: Role) -> None:
    """Check that a holder has at least a role.

    Raises:
        RequestDenied: The role does not suffice.
    """
    if not holder.may(role):
        raise RequestDenied(
            403, f"The role {role} is required; {holder.name} has the role {holder.role}: use another token."
        )


def _actor(request: Request, given: str | None, name: str | None, role: Role) -> str:
    holder = web_of(request).access.holder_of(None if given is None else as_sent(given), client_of(request))
    check_role(holder, role)
    _check_parameters(request)
    return f"api:{named(holder, name)}"


def _signed(request: Request) -> Holder | None:
    given: Mapping[str, str] = request.query_params
    artifact_id = request.path_params.get("artifact_id")
    if request.method != "GET" or artifact_id is None or not {"session", "expires", "signature"} <= given.keys():
        return None
    access = web_of(request).access
    return access.signed_holder(str(artifact_id), given["session"], given["expires"], given["signature"])


def _unauthenticated() -> RequestDenied:
    return RequestDenied(401, "Log in to the dashboard, or send an access token in the header x-admin-token.")


ApplicationDep = Annotated[Application, Depends(application_of)]
WebDep = Annotated[Web, Depends(web_of)]
Actor = Annotated[str, Depends(require_operator)]
Admin = Annotated[str, Depends(require_admin)]
