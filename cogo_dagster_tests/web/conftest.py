"""Fixtures: a server for each test, and clients for it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from cogo_dagster.bootstrap import Application
from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import Settings, load_settings
from cogo_dagster.vault.access_tokens import AccessTokens
from cogo_dagster.web.access import Access
from cogo_dagster.web.app import create_app
from cogo_dagster.web.dependencies import web_of_app
from cogo_dagster.web.serve import listening, serving
from cogo_dagster_tests.servers import Major, TestServer
from cogo_dagster_tests.web.population import Population, history, populate
from cogo_dagster_tests.web.tab import Tab

TOKEN = "0123456789abcdef" * 4

ADMIN = {"x-admin-token": TOKEN, "x-actor": "tester"}


@dataclass(frozen=True)
class Site:
    """A running server.

    Attributes:
        client: HTTP client without a session.
    """

    url: str
    client: httpx.Client
    application: Application
    app: FastAPI

    @property
    def access(self) -> Access:
        """The access control of the server."""
        return web_of_app(self.app).access

    @property
    def queue(self) -> Queue:
        """The queue of the server."""
        return self.application.queue

    def get(self, path: str, **parameters: Json) -> Json:
        """GET with the admin token; return the document of a 200 response."""
        answer = self.read(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read(self, path: str, **parameters: Json) -> httpx.Response:
        """GET with the admin token."""
        return self.client.get(path, params=parameters, headers=ADMIN)

    def cookie(self, name: str = "", token: str | None = None) -> str:
        """Log in and return the value of the session cookie."""
        with httpx.Client(base_url=self.url) as browser:
            form = {"token": token or TOKEN, "name": name}
            answer = browser.post("/dashboard/login", data=form, headers={"origin": self.url})
        assert answer.status_code == 303, answer.text
        return str(answer.cookies["cogo_session"])

    def post(self, path: str, body: Json = None, *, status: int = 200) -> Json:
        """POST with the admin token; return the document."""
        answer = self.client.post(path, json=body, headers=ADMIN)
        assert answer.status_code == status, answer.text
        return answer.json()


Serve = Callable[..., AbstractContextManager[Site]]


def settings_of(dsn: str, folder: Path) -> Settings:
    """Return settings with a token, independent of the caller's environment."""
    return load_settings(
        COGO_DATABASE_URL=dsn, COGO_HOME=str(folder / "home"), QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN, METRICS_BASE=""
    )


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    """Return settings of the test's database."""
    return settings_of(dsn, tmp_path)


@pytest.fixture
def application(settings: Settings, dsn: str, transport: Transport, queue: Queue) -> Application:
    """Return the application on the test's database, with the rights of service_role."""
    return Application(settings, dsn, transport, queue, FolderStore(settings.home / "artifacts"))


@contextmanager
def served(
    settings: Settings, application: Application, /, at: socket.socket | None = None, **options: Json
) -> Iterator[Site]:
    """Run a server for an application, at any free port or at a socket, which stays open."""
    seen = replace(application, settings=options.get("settings", settings))

    @contextmanager
    def opened() -> Iterator[Application]:
        yield seen

    given: Json = {"settings": settings, "opener": opened, "keep_seconds": 0} | options
    app = create_app(**given)
    with (
        at.dup() if at else listening("127.0.0.1", 0) as listener,
        serving(app, listener) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield Site(url, client, application, app)


@pytest.fixture
def serve(settings: Settings, application: Application) -> Serve:
    """Return a function that starts servers on the test's database, with options."""
    return partial(served, settings, application)


@pytest.fixture(scope="module")
def port() -> Iterator[socket.socket]:
    """Keep a port for the servers of the module, one after another, so that a tab can open all of them."""
    with listening("127.0.0.1", 0) as port:
        port.listen()
        yield port


@pytest.fixture
def site(serve: Serve, port: socket.socket) -> Iterator[Site]:
    """Start a server."""
    with serve(at=port) as site:
        yield site


@pytest.fixture
def populated(application: Application, dsn: str, tmp_path: Path) -> Population:
    """Populate the queue."""
    return populated_with(application, dsn, tmp_path)


def populated_with(application: Application, dsn: str, folder: Path) -> Population:
    """Populate the queue of an application."""
    history(dsn)
    files = folder / "files"
    files.mkdir()
    return populate(application.queue, application.store, files)


@pytest.fixture(scope="module")
def read_only(
    servers: Callable[[Major], TestServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Population]]:
    """Start a server on a populated database for the tests of a module that only read pages."""
    folder = tmp_path_factory.mktemp("read_only")
    with servers(18).lend("migrated") as dsn:
        transport = PostgresTransport(dsn, role="service_role")
        settings = settings_of(dsn, folder)
        application = Application(settings, dsn, transport, Queue(transport), FolderStore(settings.home / "artifacts"))
        populated = populated_with(application, dsn, folder)
        with served(settings, application) as site:
            yield site, populated
        transport.close()


def tokens_of(site: Site) -> AccessTokens:
    """Return the access tokens in a server's database."""
    return AccessTokens(site.application.transport)


def logged_in(context: BrowserContext, site: Site, name: str = "Anna") -> None:
    """Give a browser context a session."""
    context.add_cookies([{"name": "cogo_session", "value": site.cookie(name), "url": site.url}])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser for the module."""
    program = find_browser(BrowserOptions(), install=True).executable_path
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tab(browser: Browser, port: socket.socket) -> Iterator[Tab]:
    """Open a tab for the module."""
    tab = Tab(browser, port)
    yield tab
    tab.close()


@pytest.fixture
def errors(tab: Tab) -> list[str]:
    """Return what the page must not cause: errors, blocked scripts, dialogs."""
    return tab.errors


@pytest.fixture
def page(tab: Tab, site: Site) -> Iterator[Page]:
    """Lend a page on the server, logged in, and fail the test if it causes errors."""
    with tab.lent() as page:
        logged_in(page.context, site)
        yield page
    assert tab.errors == []
