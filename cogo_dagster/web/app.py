"""The web application: the metrics API and the dashboard over one database."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.settings import Settings
from cogo_dagster.web.access import Access
from cogo_dagster.web.api import alerts as alerts_api
from cogo_dagster.web.api import artifacts, dlq, health, jobs, metrics, workers
from cogo_dagster.web.backend import Backend, Patience
from cogo_dagster.web.errors import answer_problems
from cogo_dagster.web.files import StaticFiles
from cogo_dagster.web.headers import Guard, known_hosts, page_policy
from cogo_dagster.web.pages import act, alerts, job, lists, live, login, overview
from cogo_dagster.web.parts import Web
from cogo_dagster.web.render import Pages
from cogo_dagster.web.token import AdminToken
from cogo_dagster.web.traces import viewer_mount

_ABOUT = (
    "The queue's numbers, its rows with cursors, and actions for those with the admin token. "
    'Every answer beside a good one is `{"error": one sentence that says what to do}`.'
)


def create_app(
    settings: Settings,
    *,
    open_it: Callable[[], AbstractContextManager[Application]] | None = None,
    bound_to: str = "127.0.0.1",
    exposed: bool = False,
    keep_seconds: float = 1.0,
) -> FastAPI:
    """Build the application; the database is opened when the first request needs it.

    Args:
        open_it: Opens what stands behind it; by default what the settings choose.
        bound_to: The address it will listen on, which is also a name it answers to.
        exposed: Whether others than this machine can reach it: then reading needs the token too.
        keep_seconds: How long numbers are kept for everybody who looks; 0 asks the database each time.
    """
    backend = Backend(open_it or partial(open_application, settings), keep_seconds=keep_seconds)
    static = StaticFiles()
    pages = Pages(static)
    app = FastAPI(
        title="COGO operations",
        version=version("cogo-dagster"),
        description=_ABOUT,
        lifespan=_lifespan,
        docs_url=None,  # its page comes from a CDN
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.web = Web(settings, backend, Access(AdminToken(settings, backend)), exposed)
    app.state.pages = pages
    app.state.problem_page = partial(_problem_page, pages)
    app.add_middleware(Patience)
    app.add_middleware(Guard, hosts=known_hosts(settings, bound_to), policy=page_policy(settings))
    answer_problems(app)
    for part in (
        metrics,
        health,
        alerts_api,
        jobs,
        dlq,
        artifacts,
        workers,
        overview,
        lists,
        job,
        alerts,
        act,
        login,
        live,
    ):
        app.include_router(part.router)
    app.router.routes += [static.mount(), viewer_mount()]
    app.add_api_route("/", _home, include_in_schema=False)
    app.add_api_route("/dashboard", _home, include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await run_in_threadpool(app.state.web.backend.close)


def _home() -> RedirectResponse:
    return RedirectResponse("/dashboard/local", 307)


def _problem_page(pages: Pages, request: Request, status: int, sentence: str, headers: Mapping[str, str]) -> Response:
    return pages.page(request, "problem.html", status, headers, code=status, sentence=sentence)
