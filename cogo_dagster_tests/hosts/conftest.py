"""Fixtures: three hosts, with an object storage, a dashboard and a receiver of alerts on the first."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cogo_dagster_tests.alerts.receivers import Receiver, Reply, receiving
from cogo_dagster_tests.hosts.world import World, world
from cogo_dagster_tests.stores.s3_server import CREDENTIALS, s3_server

ADMIN_TOKEN = "an-admin-token-of-32-characters-or-more"


@dataclass
class Site:
    """The services on host A.

    Attributes:
        alerts: The receiver of alerts.
    """

    world: World
    alerts: Receiver

    def get(self, path: str) -> httpx.Response:
        """Send a request to the dashboard from host A."""
        with self.world.a.entered():
            return httpx.get(f"http://127.0.0.1:8780{path}", headers={"x-admin-token": ADMIN_TOKEN}, timeout=30)

    def get_url(self, url: str) -> httpx.Response:
        """Send a request to another server from host A."""
        with self.world.a.entered():
            return httpx.get(url, timeout=30)

    def responds(self) -> bool:
        """Whether the dashboard responds."""
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> Iterator[Site]:
    """Yield three hosts: services on A, a worker on B and one on C."""
    with ExitStack() as stack:
        three = stack.enter_context(world(tmp_path_factory.mktemp("hosts"), cluster))
        with three.a.entered():
            s3 = stack.enter_context(s3_server(three.a.address))
            alerts = stack.enter_context(receiving(lambda _: Reply()))
        s3.reset()
        three.environment |= {
            "COGO_ARTIFACT_URL": "s3://artifacts/hosts",
            "AWS_ACCESS_KEY_ID": CREDENTIALS["key"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["secret"],
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": s3.url,
        }
        three.start(
            three.a,
            *("cogo", "web"),
            QUALITY_NOTIFY_ADMIN_TOKEN=ADMIN_TOKEN,
            WEBHOOK_TYPE="http",
            WEBHOOK_URL=alerts.url(),
            WEBHOOK_ALLOWED_HOSTS=alerts.authority,
        )
        three.start_worker(three.b)
        three.start_worker(three.c)
        site = Site(three, alerts)
        three.until(site.responds, "the dashboard responds")
        yield site
