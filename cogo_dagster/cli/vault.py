"""`cogo vault`: manage secrets, encrypted at rest."""

import secrets
import sys
from typing import Annotated

import typer

from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import BadInput, ExitCode, Report, command, group
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import Row, column, lists, print_facts
from cogo_dagster.formatting.values import counted, distance
from cogo_dagster.vault.build import vault_key_file, vault_keys
from cogo_dagster.vault.key_ring import add_key, new_key
from cogo_dagster.vault.key_vault import Rotation, check_reference, variable_of

app = group("Manage secrets, encrypted with a key that is never stored in the database.")

Environment = Annotated[str | None, typer.Option("--env", help="Environment: dev, prod …; COGO_ENV by default.")]
Reference = Annotated[
    list[str],
    typer.Argument(metavar="PROVIDER USAGE NAME", help="Reference of the secret; also as provider:usage:name."),
]

_FLAGS = ("true", "false")
_COLUMNS = (
    column("environment", whole=True),
    column("reference"),
    column("version", whole=True),
    column("key", "key_id", whole=True, min_width=110),
    column("updated", "updated_at", distance, whole=True),
)


@command(app, "set")
def set_(
    *,
    provider: Annotated[str, typer.Argument(help="Provider of the secret: googlechat.")],
    usage: Annotated[str, typer.Argument(help="Usage of the secret: notify.")],
    name: Annotated[str, typer.Argument(help="Name of the secret: webhook_url.")],
    value: Annotated[
        str | None, typer.Argument(help="The secret; if omitted or `-`, it is read from standard input or a prompt.")
    ] = None,
    legacy_arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENVIRONMENT] [true|false]", help="Arguments of the former script, still accepted."),
    ] = None,
    environment: Environment = None,
) -> Report:
    """Store a secret, encrypted."""
    reference = _joined([provider, usage, name])
    scope, unencrypted = _parse_legacy(legacy_arguments or [], environment)
    settings = read_settings(COGO_ENV=scope)
    vault_keys(settings)()
    secret = value if value not in (None, "-") else _read_secret()
    with opened(settings) as application:
        row = application.vault.put(reference, secret, actor())
    if unencrypted:
        typer.echo('The final argument "false" has no effect: secrets are always encrypted.', err=True)
    return Report(row, f"Stored {reference} in {row.environment}, version {row.version}.")


@command(app)
def get(
    reference: Reference,
    environment: Environment = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the secret itself.")] = False,
) -> Report:
    """Show the source and version of a secret; with --reveal, print the secret."""
    name = _joined(reference)
    with opened(read_settings()) as application:
        vault = application.vault_in(environment or application.settings.env)
        secret = vault.find(name)
    if secret is None:
        raise SecretNotFound(f"Secret {name} not found in {vault.environment}: store it with `cogo vault set`.")
    facts = {
        "reference": secret.reference,
        "environment": secret.environment,
        "source": secret.source,
        "version": secret.version,
        "updated_at": secret.updated_at,
    }
    if reveal:
        return Report(facts | {"value": secret.value}, lambda: typer.echo(secret.value))
    return Report(facts, lambda: print_facts(facts | {"value": "not shown; use --reveal to print it"}))


@lists(app, _COLUMNS, "No secrets.", name="list")
def list_(
    environment: Environment = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Include all environments.")] = False,
) -> list[Row]:
    """Show secrets without their values."""
    with opened(read_settings(COGO_ENV=environment)) as application:
        rows = application.vault.secrets(everywhere=everywhere)
    return [row.document | {"variable": variable_of(row.reference)} for row in rows]


@command(app)
def remove(reference: Reference, environment: Environment = None) -> Report:
    """Remove a secret."""
    name = _joined(reference)
    with opened(read_settings(COGO_ENV=environment)) as application:
        changed = application.vault.remove(name, actor())
        scope = application.settings.env
    document = {"reference": name, "environment": scope, "changed": changed}
    return Report(document, f"{'Removed' if changed else 'No secret'} {name} in {scope}.")


@command(app)
def rotate(
    make_key: Annotated[
        bool,
        typer.Option(
            "--new-key", help="Create a new key first; only if the keys are stored beside the embedded database."
        ),
    ] = False,
) -> Report:
    """Encrypt the secrets of all environments again with the newest key; idempotent."""
    settings = read_settings()
    vault_keys(settings)()
    if make_key and (settings.vault_keys or not settings.uses_embedded_database):
        raise BadInput(
            "The keys are set in COGO_VAULT_KEYS: insert the output of `cogo vault new-key` before the other keys, "
            "then rotate without --new-key."
        )
    if make_key:
        add_key(vault_key_file(settings))
    with opened(settings) as application:
        done = application.vault.rotate(actor())
    return Report(
        {"key_id": done.key_id, "changed": done.changed, "skipped": done.skipped, "unreadable": done.unreadable},
        _rotated(done),
        ExitCode.FAILED if done.unreadable else ExitCode.OK,
    )


@command(app, "new-token")
def new_token() -> Report:
    """Print a new admin token of 64 hexadecimal digits without storing it."""
    created = secrets.token_hex(32)
    return Report({"token": created}, created)


@command(app, "new-key")
def new_vault_key() -> Report:
    """Print a new key for COGO_VAULT_KEYS without storing it."""
    created = new_key()
    return Report({"key": created}, created)


class SecretNotFound(typer.TyperException):
    """No secret is stored under that reference."""

    exit_code = ExitCode.FAILED


def _joined(parts: list[str]) -> str:
    reference = ":".join(parts)
    check_reference(reference)
    return reference


def _read_secret() -> str:
    """Read the secret from a prompt or standard input, which other processes cannot see."""
    if sys.stdin.isatty():
        return str(typer.prompt("Secret", hide_input=True, err=True))
    try:
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise BadInput(
            "The secret on standard input is not UTF-8 text: encode binary data, for example in base64."
        ) from None


def _parse_legacy(arguments: list[str], environment: str | None) -> tuple[str | None, bool]:
    """Parse `dev false` into the environment and whether `false` was given."""
    rest = arguments[:-1] if arguments and arguments[-1].lower() in _FLAGS else arguments
    if len(rest) > 1:
        raise BadInput("Only the environment and true or false may follow the value: quote a value with spaces.")
    if rest and environment not in (None, rest[0]):
        raise BadInput(f"The environment is given as {rest[0]} and as --env {environment}: remove one of them.")
    return (rest[0] if rest else environment), arguments != rest and arguments[-1].lower() == "false"


def _rotated(done: Rotation) -> str:
    message = f"Encrypted {counted(done.changed, 'secret')} with the key {done.key_id}."
    if done.skipped:
        message += f" Skipped {counted(done.skipped, 'secret')} that changed in the meantime: rotate again."
    if done.unreadable:
        message += f" Unchanged, because their key is missing: {', '.join(done.unreadable)}."
    return message
