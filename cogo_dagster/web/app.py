"""The web application: the metrics API and the dashboard over one database."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from functools import cache, partial
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.release import code_version
from cogo_dagster.settings import Settings
from cogo_dagster.vault.access_tokens import AccessTokens
from cogo_dagster.web.access import Access, new_own_token
from cogo_dagster.web.api import actions as actions_api
from cogo_dagster.web.api import alerts as alerts_api
from cogo_dagster.web.api import artifacts, dlq, health, jobs, metrics, tokens, workers
from cogo_dagster.web.backend import Backend, FreshNumbers, ReadTimeout
from cogo_dagster.web.clients import Forwarded
from cogo_dagster.web.dependencies import AccessRule, Web, allow_anonymous, rules_of, web_of_app
from cogo_dagster.web.error_handlers import install_error_handlers
from cogo_dagster.web.files import static_files
from cogo_dagster.web.headers import RequestGuard, known_hosts, page_policy
from cogo_dagster.web.pages import act, alerts, bulk, gate, history, job, lists, live, login, new_job, overview, weeks
from cogo_dagster.web.pages import workers as workers_page
from cogo_dagster.web.render import shared_pages
from cogo_dagster.web.token import AdminToken
from cogo_dagster.web.traces import viewer_mount

_ABOUT = (
    "Statistics of the queue, pages of its rows (with a token), and actions for operators. "
    'Every error response is `{"error": message}`; the message says what to do.'
)

_OPEN_TO_ALL: Final = frozenset({"/api/openapi.json", "/static", "/traces"})
"""Routes without a rule: the description of the API, and static files."""


def create_app(
    settings: Settings,
    *,
    opener: Callable[[], AbstractContextManager[Application]] | None = None,
    bound_to: str = "127.0.0.1",
    open_here: bool = False,
    keep_seconds: float = 1.0,
) -> FastAPI:
    """Build the application; the database is opened when the first request needs it.

    Args:
        opener: Opens the application; default: the one that the settings describe.
        bound_to: The address that the server listens on; it is also an accepted host name.
        open_here: Whether requests from this machine may read without a session, and other hosts are rejected (`cogo
            dev`). Unless the environment sets an admin token, one is created for the sessions of login links.
        keep_seconds: How long numbers are cached for all clients; 0 queries the database each time.
    """
    backend = Backend(opener or partial(open_application, settings), keep_seconds=keep_seconds)
    app = FastAPI(
        title="COGO operations",
        version=code_version(),
        description=_ABOUT,
        lifespan=_lifespan,
        docs_url=None,  # Swagger UI loads from a CDN
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    access = Access(
        AdminToken(settings, backend),
        lambda: AccessTokens(backend.application.transport),
        own_token=new_own_token() if open_here and settings.admin_token is None else None,
        open_here=open_here,
        session_seconds=settings.session_ttl_hours * 3_600,
    )
    app.state.web = Web(settings, backend, access, shared_pages())
    app.add_middleware(ReadTimeout)
    app.add_middleware(FreshNumbers, backend=backend)
    app.add_middleware(
        RequestGuard, hosts=known_hosts(settings, bound_to), policy=page_policy(settings), direct_only=open_here
    )
    app.add_middleware(Forwarded, trusted=settings.web_trusted_proxies)  # the last one added runs first
    install_error_handlers(app)
    app.router.routes += [*_routes(), static_files().mount(), viewer_mount()]
    for path in ("/", "/dashboard"):
        app.add_api_route(path, _home, include_in_schema=False, dependencies=[Depends(allow_anonymous)])
    require_rules(app)
    return app


@cache
def _routes() -> list[BaseRoute]:
    """Return the routes of the API and the dashboard. FastAPI builds their models once, for all applications."""
    router = APIRouter()
    for part in (
        metrics,
        health,
        alerts_api,
        actions_api,
        jobs,
        dlq,
        artifacts,
        workers,
        tokens,
        overview,
        bulk,
        lists,
        new_job,
        workers_page,
        gate,
        weeks,
        history,
        job,
        alerts,
        act,
        login,
        live,
    ):
        router.include_router(part.router)
    return router.routes


def require_rules(app: FastAPI) -> None:
    """Check that every route has exactly one access rule.

    Raises:
        RuntimeError: A route has none or several, so its access is undefined.
    """
    invalid = [path for path, rules in access_rules(app) if len(rules) != 1]
    if invalid:
        raise RuntimeError(f"Routes with no access rule, or with several: {', '.join(invalid)}.")


def access_rules(app: FastAPI) -> Iterator[tuple[str, set[AccessRule]]]:
    """Yield every route of the application, as `GET /api/jobs`, with its access rules."""
    for route in iter_route_contexts(app.routes):
        path = route.path or ""
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            dependant = getattr(route, "dependant", None)
            rules: set[AccessRule] = rules_of(dependant) if dependant else set()
            yield f"{method} {path}", {"open"} if path in _OPEN_TO_ALL else rules


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await run_in_threadpool(web_of_app(app).backend.close)


def _home() -> RedirectResponse:
    return RedirectResponse("/dashboard/local", 307)
