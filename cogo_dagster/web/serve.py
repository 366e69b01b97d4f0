"""Serving the application: alone until a signal, or beside something else."""

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
_MOST_LOGGED: Final = 20_000


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any.

    Raises:
        SettingsError: The port is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"The dashboard cannot listen on {host}:{port} ({error.strerror}): choose another with --port or --host."
        ) from None
    return listener


class _Redacted(logging.Formatter):
    """Hides secrets in a record, and in the traceback that belongs to it."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__("%(levelname)s:     %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record)[:_MOST_LOGGED], self._secrets)


def log_without_secrets(settings: Settings) -> None:
    """Let this process log to standard error, warnings and worse, without the settings' secrets."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacted(settings.secret_values()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    uvicorn.Server(_config(app)).run(sockets=[listener])


@contextmanager
def alerting(settings: Settings, app: FastAPI, say: Callable[[str], None], pause_seconds: float = 10) -> Iterator[None]:
    """Deliver alerts and call the dead man's switch while it is entered, if the settings name any of them.

    Args:
        app: Whose database is used.
        say: Where a sentence about trouble goes.
        pause_seconds: Between two passes.

    Raises:
        SettingsError: A target is not configured right.
    """
    if not settings.webhook_types and settings.deadman_url is None:
        yield
        return
    with alert_loop(settings, lambda: web_of_app(app).backend.application.alerts, say, pause_seconds).running():
        yield


@contextmanager
def serving(app: FastAPI, listener: socket.socket) -> Iterator[str]:
    """Serve in a thread while it is entered; yield the address.

    Raises:
        SettingsError: It did not start.
    """
    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="cogo-web", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise SettingsError("The dashboard did not start: run `cogo web` to see why.")
        time.sleep(0.01)
    try:
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join(_GRACE_SECONDS + 5)


def address(listener: socket.socket) -> str:
    """Return the address of what listens."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose count is decided in web/clients.py
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
