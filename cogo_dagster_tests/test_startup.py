"""Settings of the test process that change how others' code waits."""

import threading
import time

import uvicorn
from starlette.types import Receive, Scope, Send


class CountingServer(uvicorn.Server):
    """A server that counts how often its loop looks."""

    looks = 0

    async def on_tick(self, counter: int) -> bool:
        """Look whether to stop."""
        self.looks += 1
        return await super().on_tick(counter)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to nothing."""


def test_a_server_is_woken_when_it_is_to_stop() -> None:
    """Until then it looks once a second, so that servers that run for as long as this process take no CPU time."""
    server = CountingServer(uvicorn.Config(application, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    started = time.monotonic()
    thread.start()
    while not server.started:
        time.sleep(0.005)
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()
    assert server.looks <= 2 + time.monotonic() - started
