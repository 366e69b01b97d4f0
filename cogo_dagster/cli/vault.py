"""`cogo vault`: secrets by reference, encrypted at rest."""

import secrets
import sys
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import BadInput, ExitCode, Report, command, group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import Row, column, lists, print_facts
from cogo_dagster.formatting.values import distance
from cogo_dagster.vault.build import vault_key_file, vault_keys
from cogo_dagster.vault.key_ring import add_key, new_key
from cogo_dagster.vault.key_vault import Rotation, check_reference, variable_of

app = group("Keep secrets, encrypted with a key that the database never sees.")

Environment = Annotated[str | None, typer.Option("--env", help="The scope: dev, prod … COGO_ENV if left out.")]
Reference = Annotated[
    list[str], typer.Argument(metavar="PROVIDER USAGE NAME", help="Or in one word: provider:usage:name.")
]

_FLAGS = ("true", "false")
_COLUMNS = (
    column("environment", whole=True),
    column("reference", whole=True),
    column("version", whole=True),
    column("key", "key_id", whole=True),
    column("updated", "updated_at", distance, whole=True),
)


@command(app, "set")
def set_(
    *,
    provider: Annotated[str, typer.Argument(help="Whose secret it is: googlechat.")],
    usage: Annotated[str, typer.Argument(help="What for: notify.")],
    name: Annotated[str, typer.Argument(help="Which: webhook_url.")],
    value: Annotated[
        str | None, typer.Argument(help="The secret; left out or `-`, it is read from standard input or asked for.")
    ] = None,
    old_words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENVIRONMENT] [true|false]", help="As the old script took them."),
    ] = None,
    environment: Environment = None,
) -> Report:
    """Keep a secret; it is always encrypted."""
    reference = _joined([provider, usage, name])
    scope, unencrypted = _old_words(old_words or [], environment)
    settings = read_settings(COGO_ENV=scope)
    vault_keys(settings)()
    secret = value if value not in (None, "-") else _asked()
    with open_application(settings) as application:
        row = application.vault.put(reference, secret, actor())
    if unencrypted:
        typer.echo('The last word "false" asked for no encryption: secrets here are always encrypted.', err=True)
    return Report(row, f"Kept {reference} in {row.environment}, version {row.version}, encrypted.")


@command(app)
def get(
    reference: Reference,
    environment: Environment = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the secret itself.")] = False,
) -> Report:
    """Say where a secret is found; with --reveal, print it."""
    asked = _joined(reference)
    with open_application(read_settings()) as application:
        vault = application.vault_in(environment or application.settings.env)
        found = vault.find(asked)
    if found is None:
        raise NotKept(f"There is no secret {asked} in {vault.environment}: keep one with `cogo vault set`.")
    facts = {
        "reference": found.reference,
        "environment": found.environment,
        "source": found.source,
        "version": found.version,
        "updated_at": found.updated_at,
    }
    if reveal:
        return Report(facts | {"value": found.value}, lambda: typer.echo(found.value))
    return Report(facts, lambda: print_facts(facts | {"value": "not shown; --reveal prints it"}))


@lists(app, _COLUMNS, "No secrets are kept here.", name="list")
def list_(
    environment: Environment = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Of all environments.")] = False,
) -> list[Row]:
    """Show which secrets are kept; never their values."""
    with open_application(read_settings(COGO_ENV=environment)) as application:
        rows = application.vault.secrets(everywhere=everywhere)
    return [row.document | {"variable": variable_of(row.reference)} for row in rows]


@command(app)
def remove(reference: Reference, environment: Environment = None) -> Report:
    """Forget a secret."""
    asked = _joined(reference)
    with open_application(read_settings(COGO_ENV=environment)) as application:
        changed = application.vault.remove(asked, actor())
        scope = application.settings.env
    document = {"reference": asked, "environment": scope, "changed": changed}
    return Report(document, f"{asked} is {'forgotten' if changed else 'not kept'} in {scope}.")


@command(app)
def rotate(
    make_key: Annotated[
        bool,
        typer.Option("--new-key", help="Make a new key first, where the keys are kept with the embedded database."),
    ] = False,
) -> Report:
    """Encrypt the secrets of all environments with the newest key; running it again does what is left."""
    settings = read_settings()
    vault_keys(settings)()
    if make_key and (settings.vault_keys or not settings.uses_embedded_database):
        raise BadInput(
            "The keys stand in COGO_VAULT_KEYS: put what `cogo vault new-key` prints before the others there, "
            "then rotate without --new-key."
        )
    if make_key:
        add_key(vault_key_file(settings))
    with open_application(settings) as application:
        done = application.vault.rotate(actor())
    return Report(
        {"key_id": done.key_id, "changed": done.changed, "skipped": done.skipped, "unreadable": done.unreadable},
        _rotated(done),
        ExitCode.FAILED if done.unreadable else ExitCode.OK,
    )


@command(app, "new-token")
def new_token() -> Report:
    """Print an admin token: 64 hexadecimal digits, kept nowhere."""
    made = secrets.token_hex(32)
    return Report({"token": made}, made)


@command(app, "new-key")
def new_vault_key() -> Report:
    """Print a key for COGO_VAULT_KEYS, kept nowhere."""
    made = new_key()
    return Report({"key": made}, made)


class NotKept(typer.TyperException):
    """There is no secret under that reference."""

    exit_code = ExitCode.FAILED


def _joined(words: list[str]) -> str:
    reference = ":".join(words)
    check_reference(reference)
    return reference


def _asked() -> str:
    """Read the secret where no other process sees it."""
    if sys.stdin.isatty():
        return str(typer.prompt("Secret", hide_input=True, err=True))
    try:
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise BadInput("The secret on standard input is no text: encode bytes, in base64 for example.") from None


def _old_words(words: list[str], environment: str | None) -> tuple[str | None, bool]:
    """Read `dev false`: the scope, and whether no encryption was asked for."""
    rest = words[:-1] if words and words[-1].lower() in _FLAGS else words
    if len(rest) > 1:
        raise BadInput("After the value come the environment and true or false at most: quote a value with spaces.")
    if rest and environment not in (None, rest[0]):
        raise BadInput(f"The environment is given as {rest[0]} and as --env {environment}: leave one out.")
    return (rest[0] if rest else environment), words != rest and words[-1].lower() == "false"


def _rotated(done: Rotation) -> str:
    sentence = f"{done.changed} secrets are encrypted with the key {done.key_id} now."
    if done.skipped:
        sentence += f" {done.skipped} were set meanwhile: rotate again."
    if done.unreadable:
        sentence += f" Their key is not here, they are as they were: {', '.join(done.unreadable)}."
    return sentence
