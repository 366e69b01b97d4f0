"""A server of the test's own, and what a client needs to talk to it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from cogo_dagster.bootstrap import Application
from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings, is_root, load_settings
from cogo_dagster.web.app import create_app
from cogo_dagster.web.serve import listening, serving
from cogo_dagster_tests.web.scene import Scene, history, lived_in

TOKEN = "0123456789abcdef" * 4

ADMIN = {"x-admin-token": TOKEN, "x-actor": "tester"}


@dataclass(frozen=True)
class Site:
    """A running server.

    Attributes:
        client: Talks to it as a program on this machine does.
    """

    url: str
    client: httpx.Client
    application: Application

    @property
    def queue(self) -> Queue:
        """The queue behind it."""
        return self.application.queue

    def get(self, path: str, **parameters: Json) -> Json:
        """Return the document of a good answer."""
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Json = None, *, status: int = 200) -> Json:
        """Act with the admin token and return the document."""
        answer = self.client.post(path, json=body, headers=ADMIN)
        assert answer.status_code == status, answer.text
        return answer.json()


Serve = Callable[..., AbstractContextManager[Site]]


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    """Return settings with a token, and nothing of the caller's environment that leads elsewhere."""
    return load_settings(
        COGO_DATABASE_URL=dsn, COGO_HOME=str(tmp_path / "home"), QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN, METRICS_BASE=""
    )


@pytest.fixture
def application(settings: Settings, dsn: str, transport: Transport, queue: Queue) -> Application:
    """Return the application on the test's database, with the rights of service_role only."""
    return Application(settings, dsn, transport, queue, FolderStore(settings.home / "artifacts"))


@pytest.fixture
def serve(settings: Settings, application: Application) -> Serve:
    """Start servers over the test's database, with other options where a test gives them."""

    @contextmanager
    def serve(**options: Json) -> Iterator[Site]:
        seen = replace(application, settings=options.get("settings", settings))

        @contextmanager
        def opened() -> Iterator[Application]:
            yield seen

        given: Json = {"settings": settings, "open_it": opened, "keep_seconds": 0} | options
        app = create_app(**given)
        with (
            listening("127.0.0.1", 0) as listener,
            serving(app, listener) as url,
            httpx.Client(base_url=url, timeout=30) as client,
        ):
            yield Site(url, client, application)

    return serve


@pytest.fixture
def site(serve: Serve) -> Iterator[Site]:
    """Lend a running server."""
    with serve() as site:
        yield site


@pytest.fixture
def scene(application: Application, dsn: str, tmp_path: Path) -> Scene:
    """Let the queue have lived."""
    history(dsn)
    folder = tmp_path / "files"
    folder.mkdir()
    return lived_in(application.queue, application.store, folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser once."""
    program = find_browser(BrowserOptions(), install=True).executable_path
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=not is_root())
        yield browser
        browser.close()
