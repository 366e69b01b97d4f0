"""Turn the exception of a failed command into a message on standard error and an exit code."""

import json
import re
from typing import Final

import typer

from cogo_dagster.cli.command import ExitCode
from cogo_dagster.drill.scratch import DrillFailed
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.formatting.values import one_line
from cogo_dagster.quality.api import MetricsUnavailable
from cogo_dagster.queue.artifacts import ArtifactStoreError
from cogo_dagster.queue.errors import (
    AccessDenied,
    DatabaseUnavailable,
    InvalidArgument,
    QueueError,
    SchemaOutOfDate,
    SchemaTooNew,
    TransportError,
)
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.worker.worker import WorkerStuck
from cogo_dagster.settings import SettingsError
from cogo_dagster.vault.vault_errors import InvalidReference, NoVaultKeys, VaultError

_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (AccessDenied, ExitCode.ACCESS_DENIED),
    (WorkerStuck, ExitCode.STUCK),
    (DatabaseUnavailable, ExitCode.DATABASE),
    (SchemaOutOfDate, ExitCode.DATABASE),
    (SchemaTooNew, ExitCode.DATABASE),
    (TransportError, ExitCode.DATABASE),
    (InvalidArgument, ExitCode.BAD_INPUT),
    (InvalidPayload, ExitCode.BAD_INPUT),
    (SettingsError, ExitCode.BAD_INPUT),
    (InvalidReference, ExitCode.BAD_INPUT),
    (NoVaultKeys, ExitCode.BAD_INPUT),
    (VaultError, ExitCode.FAILED),
    (DrillFailed, ExitCode.FAILED),
    (MetricsUnavailable, ExitCode.DATABASE),
    (ExecutorUnavailable, ExitCode.FAILED),
    (ArtifactStoreError, ExitCode.FAILED),
    (QueueError, ExitCode.FAILED),
)
"""The first match applies."""

_PASSWORD: Final = re.compile(r"(://[^\s:/@]*:)(?!password@host:5432/)\S+@")
"""A password in a connection string, which drivers quote if they cannot parse it; not the one of an example."""


def report(error: Exception, *, as_json: bool) -> int | None:
    """Print the message of an expected error and return its exit code; None for a bug, which needs its traceback."""
    if isinstance(error, typer.TyperException):
        code, message = error.exit_code, _usage(error)
    else:
        expected = next((code for kind, code in _CODES if isinstance(error, kind)), None)
        if expected is None:
            return None
        code, message = int(expected), _PASSWORD.sub(r"\1***@", one_line(str(error)))
    if as_json:
        typer.echo(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False), err=True)
    else:
        typer.secho(message, fg="red", err=True)
    return code


def _usage(error: typer.TyperException) -> str:
    message = one_line(error.format_message()).replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message.rstrip('.')} (see `{context.command_path} --help`)."
