"""Maps exceptions to a status and a message: JSON for the API, a page for the dashboard, never a traceback."""

import logging
from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from cogo_dagster.queue.artifacts import ArtifactStoreError
from cogo_dagster.queue.errors import (
    AccessDenied,
    DatabaseUnavailable,
    DuplicateJob,
    InvalidArgument,
    InvalidTransition,
    JobNotFound,
    LeaseLost,
    QueueError,
    SchemaOutOfDate,
    SchemaTooNew,
    TransportError,
)
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.redaction import redact
from cogo_dagster.settings import SettingsError
from cogo_dagster.validation import Mistake, mistakes
from cogo_dagster.vault.vault_errors import VaultError
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.addresses import login_page
from cogo_dagster.web.dependencies import web_of
from cogo_dagster.web.headers import TOO_LONG, is_body_cut_off

logger = logging.getLogger(__name__)

_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (JobNotFound, 404),
    (InvalidTransition, 409),
    (DuplicateJob, 409),
    (LeaseLost, 409),
    (InvalidArgument, 422),
    (InvalidPayload, 422),
    (AccessDenied, 503),
    (DatabaseUnavailable, 503),
    (TransportError, 503),
    (SchemaOutOfDate, 503),
    (SchemaTooNew, 503),
    (SettingsError, 503),
    (ArtifactStoreError, 502),
    (VaultError, 503),
    (QueueError, 503),
)
"""The first match applies."""

_RETRY_AFTER: Final = {"retry-after": "5"}


def install_error_handlers(app: FastAPI) -> None:
    """Install the exception handlers of an application."""
    for kind in (QueueError, InvalidPayload, SettingsError, ArtifactStoreError, VaultError):
        app.exception_handler(kind)(_expected)
    app.exception_handler(RequestDenied)(_denied)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(Exception)(_unexpected)


async def _expected(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    if isinstance(error, AccessDenied | DatabaseUnavailable | TransportError):
        web_of(request).backend.failed(error)
    heading = "The database is unreachable" if isinstance(error, DatabaseUnavailable | TransportError) else None
    return _respond(request, status, redact(str(error)), _RETRY_AFTER if status == 503 else {}, heading)


async def _denied(request: Request, error: RequestDenied) -> Response:
    headers = {"retry-after": str(error.retry_seconds)} if error.retry_seconds else {}
    if error.status == 401:
        headers["www-authenticate"] = 'X-Admin-Token realm="cogo"'
    return _respond(request, error.status, str(error), headers)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return _respond(request, 422, request_mistake(mistakes(error)[0]), {})


def request_mistake(found: Mistake) -> str:
    """Return the message about a request that is invalid."""
    if found.kind == "json_invalid":
        return "The body must be JSON in UTF-8."
    source, *inner = found.place
    if source == "body" and not inner:
        return "The body must be a JSON object, sent with the content type application/json."
    name = ".".join(inner)[:100] or source
    if found.kind == "missing":
        return f"The field {name} is required."
    if found.kind == "extra_forbidden":
        return f"The field {name} is unknown: correct its name, or remove it."
    return f"Invalid {name}: {found.lowered}."


async def _http(request: Request, error: HTTPException) -> Response:
    if is_body_cut_off(request):
        return _respond(request, 413, TOO_LONG, {})
    if error.status_code == 400:  # FastAPI raises it for a body that is not JSON
        return _respond(request, 422, "The body must be JSON in UTF-8.", {})
    message = {404: "Not found.", 405: "Method not allowed."}.get(error.status_code)
    return _respond(request, error.status_code, message or str(error.detail), dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> Response:
    # Without the query string, which may contain a signature or a login link.
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _respond(request, 500, "Internal server error; see the log of the server.", {})


def _respond(
    request: Request, status: int, message: str, headers: Mapping[str, str], heading: str | None = None
) -> Response:
    if status == 401 and _is_page_request(request):
        return RedirectResponse(login_page(request), 303)
    if request.url.path.startswith("/dashboard"):
        return web_of(request).pages.problem(request, status, message, headers, heading)
    return JSONResponse({"error": message}, status, headers=dict(headers))


def _is_page_request(request: Request) -> bool:
    """Whether a browser requests a page; links in messages point to artifacts, which are below /api."""
    if request.url.path.startswith("/dashboard"):
        return True
    wanted = "text/html" in request.headers.get("accept", "")
    return wanted and request.method == "GET" and "x-admin-token" not in request.headers
