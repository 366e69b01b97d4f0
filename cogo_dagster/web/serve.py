"""Serves the application in the foreground, or in a thread."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

import uvicorn
from fastapi import FastAPI

from cogo_dagster.bootstrap import alert_loop
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings, SettingsError
from cogo_dagster.web.dependencies import web_of_app

_GRACE_SECONDS: Final = 3
_START_SECONDS: Final = 20.0
_MAX_LOGGED_CHARS: Final = 20_000


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes any free port.

    Raises:
        SettingsError: The port is in use, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another address with --port or --host."
        ) from None
    return listener


class _Redacted(logging.Formatter):
    """Redacts secrets in log records and their tracebacks."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__("%(levelname)s:     %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record)[:_MAX_LOGGED_CHARS], self._secrets)


def log_without_secrets(settings: Settings) -> None:
    """Log warnings and errors of this process to standard error, without the secrets of the settings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacted(settings.secret_values()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    uvicorn.Server(_config(app)).run(sockets=[listener])


@contextmanager
def alerting(settings: Settings, app: FastAPI, log: Callable[[str], None], pause_seconds: float = 10) -> Iterator[None]:
    """Deliver alerts and call the dead man's switch in the background, if the settings configure either.

    Args:
        app: Application whose database is used.
        log: Called with messages about failures.
        pause_seconds: Pause between two passes.

    Raises:
        SettingsError: A target is misconfigured.
    """
    if not settings.webhook_types and settings.deadman_url is None:
        yield
        return
    with alert_loop(settings, lambda: web_of_app(app).backend.application.alerts, log, pause_seconds).running():
        yield


@contextmanager
def serving(app: FastAPI, listener: socket.socket) -> Iterator[str]:
    """Serve in a thread; yield the address.

    Raises:
        SettingsError: The server did not start.
    """
    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="cogo-web", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise SettingsError("The dashboard did not start: run `cogo web` to see the error.")
        time.sleep(0.01)
    try:
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join(_GRACE_SECONDS + 5)


def address(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # web/clients.py reads them
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
