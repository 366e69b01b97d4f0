"""Select the checks that the settings need, and run them on the objects of bootstrap."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from cogo_dagster.bootstrap import (
    Application,
    dagster_storage_url,
    embedded_server,
    open_application,
)
from cogo_dagster.doctor.checks.database import check_database, check_vault, check_work, read_facts
from cogo_dagster.doctor.checks.deliveries import check_deliveries
from cogo_dagster.doctor.checks.machine import attempt, check_disk, check_fonts
from cogo_dagster.doctor.checks.services import FindSecret, check_figma, check_webhooks
from cogo_dagster.doctor.checks.storage import check_recent_artifact, check_storage
from cogo_dagster.doctor.checks.supabase import check_keys, check_realtime, check_rest
from cogo_dagster.doctor.findings import Check, Finding, State, failed, ok, run_checks, unused, warning
from cogo_dagster.executors.browser.advice import fonts_advice
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.isolation.machine import isolation
from cogo_dagster.executors.registry import installed_executors
from cogo_dagster.providers.router import edge_router
from cogo_dagster.queue.connect import connect
from cogo_dagster.queue.errors import QueueError, SchemaOutOfDate, SchemaTooNew
from cogo_dagster.queue.supabase.edge_functions import EdgeFailed
from cogo_dagster.settings import Settings, SettingsError
from cogo_dagster.vault.access_tokens import AccessTokens
from cogo_dagster.vault.admin_token import REFERENCE, SHORT_CHARACTERS, VARIABLE, AdminTokens, admin_tokens, token_of
from cogo_dagster.vault.build import edge_secrets, vault_keys
from cogo_dagster.vault.vault_errors import NoVaultKeys, VaultError

_EDGE_ADVICE = (
    "Deploy it with `supabase functions deploy`, and set its QUALITY_NOTIFY_ADMIN_TOKEN with `supabase secrets set`; "
    "until then the database is used instead."
)


def checkup(settings: Settings) -> list[Finding]:
    """Run all checks that the settings need concurrently, and return the findings in a fixed order."""
    application: Application | None = None
    with ExitStack() as stack:
        try:
            application = stack.enter_context(open_application(settings, idle_seconds=settings.database_idle_seconds))
        except (QueueError, SettingsError) as error:
            finding = _database_failure(error)
            database_checks: list[tuple[str, Check]] = [("database", lambda: [finding])]
        else:
            database_checks = _database_checks(application)
        checks = [*database_checks, *_machine_checks(settings, application), *_service_checks(settings)]
        find_secret = _secret_finder(application)
        checks.append(("webhooks", lambda: check_webhooks(settings, find_secret)))
        return run_checks(checks, settings.secret_values())


def worst(findings: list[Finding]) -> State:
    """Return the worst state of all findings."""
    return next((state for state in State if any(finding.state is state for finding in findings)), State.UNUSED)


def _database_checks(application: Application) -> list[tuple[str, Check]]:
    return [
        ("database", lambda: _database(application)),
        ("alerts", lambda: check_deliveries(application.alerts.target_health())),
        ("storage", lambda: check_storage(application.store)),
        ("recent_artifact", lambda: check_recent_artifact(application.store, application.queue)),
    ]


def _machine_checks(settings: Settings, application: Application | None) -> list[tuple[str, Check]]:
    return [
        ("disk", lambda: check_disk(settings.home)),
        ("executors", lambda: _executors(settings)),
        ("browser", lambda: _browser(settings)),
        ("gate_isolation", lambda: _gate_isolation(settings)),
        ("dagster", lambda: _dagster(settings)),
        ("admin_token", lambda: _admin_token(settings, application)),
    ]


def _service_checks(settings: Settings) -> list[tuple[str, Check]]:
    return [
        *_supabase_checks(settings),
        ("router_select", lambda: _router_select(settings)),
        ("key_vault", lambda: _key_vault(settings)),
        ("figma", lambda: check_figma(settings)),
    ]


def _supabase_checks(settings: Settings) -> list[tuple[str, Check]]:
    url, service = settings.supabase_url, settings.supabase_service_role_key
    if url is None or service is None:
        return [("supabase", lambda: [unused("supabase", "Not used: SUPABASE_URL is not set.")])]
    anon, publishable = settings.supabase_anon_key, settings.supabase_publishable_key
    key = service.get_secret_value()
    return [
        (
            "supabase_keys",
            lambda: check_keys(
                url,
                key,
                anon.get_secret_value() if anon else None,
                publishable.get_secret_value() if publishable else None,
            ),
        ),
        ("rest", lambda: check_rest(url, key)),
        ("realtime", lambda: check_realtime(url, key)),
    ]


def _database(application: Application) -> Iterator[Finding]:
    key_ids, problem = _vault(application.settings)
    try:
        facts = read_facts(application.transport, key_ids)
    except QueueError as error:
        yield _database_failure(error)
        return
    embedded = application.settings.uses_embedded_database
    where = "over REST" if application.dsn is None else "embedded" if embedded else "external"
    yield from check_database(facts, where=where, pooled=application.pooled)
    yield ok("schema", "The schema is at the release of this installation.")
    yield from check_work(facts)
    yield from check_vault(facts, key_ids, problem)


def _database_failure(error: Exception) -> Finding:
    if isinstance(error, SchemaOutOfDate):
        return failed(
            "schema", str(error), "Run `cogo db migrate`, or run the output of `cogo db sql` in the SQL Editor."
        )
    if isinstance(error, SchemaTooNew):
        return failed("schema", str(error), "Upgrade this installation.")
    return failed("database", str(error), "Jobs, workers and secrets cannot be checked until this is fixed.")


def _vault(settings: Settings) -> tuple[tuple[str, ...], str | None]:
    try:
        return vault_keys(settings)().key_ids, None
    except NoVaultKeys as error:
        return (), str(error)


def _secret_finder(application: Application | None) -> FindSecret:
    """Return a function that reads a secret from the vault, and raises LookupError if it cannot."""

    def find(reference: str) -> str | None:
        if application is None:
            raise LookupError("the database is unreachable")
        try:
            return application.vault.get(reference)
        except (VaultError, QueueError) as error:
            raise LookupError(str(error)) from None

    return find


def _executors(settings: Settings) -> Iterator[Finding]:
    loaded = installed_executors(settings)
    for message in loaded.broken.values():
        advice = "Fix or remove the package; until then workers here do not claim its jobs."
        yield failed("executors", message, advice)
    if not loaded.broken:
        yield ok("executors", f"Loaded: {', '.join(executor.family for executor in loaded.executors)}.")


def _browser(settings: Settings) -> Iterator[Finding]:
    if not settings.browser_real_mode:
        yield unused("browser", "Not used: BROWSER_REAL_MODE is false, and pages are fetched without a browser.")
        return
    # Slow to import.
    from cogo_dagster.executors.browser.options import BrowserOptions  # noqa: PLC0415
    from cogo_dagster.executors.browser.trial import try_browser  # noqa: PLC0415

    try:
        missing = asyncio.run(try_browser(replace(BrowserOptions.from_settings(settings), install=False)))
    except ExecutorUnavailable as error:
        advice = "Workers here do not start until this is fixed, unless BROWSER_REAL_MODE=false."
        yield failed("browser", str(error), advice)
        return
    yield ok("browser", "The browser starts.")
    yield check_fonts(missing, fonts_advice())


def _gate_isolation(settings: Settings) -> Iterator[Finding]:
    check = "gate_isolation"
    if settings.gate_commands is None:
        yield unused(check, "Not used: COGO_GATE_COMMANDS is not set, and gate jobs do not run here.")
        return
    available = isolation()
    if settings.gate_unisolated:
        advice = "Unset COGO_GATE_UNISOLATED." if available.possible else "Run gate jobs on Linux 5.13 or newer."
        yield warning(check, "Gate commands run as the worker and can read its secrets.", advice)
    elif not available.possible:
        message = "Neither Landlock nor namespaces are available: workers here do not claim gate jobs."
        yield failed(check, message, "Run gate jobs on Linux 5.13 or newer, or set COGO_GATE_UNISOLATED=true.")
    elif gaps := available.gaps():
        yield warning(
            check, f"{available.description()} But {'; '.join(gaps)}.", "Use a newer kernel, or allow namespaces."
        )
    else:
        yield ok(check, available.description())


def _dagster(settings: Settings) -> Iterator[Finding]:
    if settings.dagster_postgres_url is None and not embedded_server(settings).status().running:
        yield unused("dagster", "Not running: Dagster's storage on the embedded server. `cogo dev` starts it.")
        return

    def connected() -> str:
        connect(dagster_storage_url(settings).replace("+psycopg2", "", 1)).close()
        return "The storage of Dagster accepts connections."

    advice = "Check DAGSTER_POSTGRES_URL; without it Dagster uses the embedded server."
    yield from attempt("dagster", connected, (QueueError, SettingsError), advice)


def _admin_token(settings: Settings, application: Application | None) -> Iterator[Finding]:
    if application is None:
        # The vault cannot be read: check the environment only.
        yield from check_admin_token(AdminTokens(token_of(settings), None), [])
        return
    try:
        found = admin_tokens(settings, application.transport)
        named = AccessTokens(application.transport).rows(live_only=True)
    except (VaultError, QueueError) as error:
        yield warning(
            "admin_token", str(error), "The dashboard cannot read the admin token from the vault until this is fixed."
        )
        return
    yield from check_admin_token(found, [row.name for row in named])


def check_admin_token(found: AdminTokens, named: list[str]) -> Iterator[Finding]:
    """Check that a token for the dashboard exists, and that the admin token is unambiguous and long enough.

    Args:
        found: Admin tokens of the environment and the vault.
        named: Names of the live access tokens.
    """
    if found.token is None and not named:
        message = "There is neither an admin token nor a named token, so login to the dashboard is not possible."
        yield unused("admin_token", message)
    elif found.token is None:
        yield ok("admin_token", f"No admin token; live named tokens: {len(named)}.")
    elif found.differ:
        yield warning(
            "admin_token",
            f"{VARIABLE} and {REFERENCE} in the vault differ: the variable takes precedence.",
            f"Remove one of them: `cogo vault remove {REFERENCE}`, or unset {VARIABLE}.",
        )
    elif len(found.token) < SHORT_CHARACTERS:
        yield warning("admin_token", "The admin token is too short.", "Create one with `cogo vault new-token`.")
    else:
        yield ok("admin_token", f"The admin token is {found.source}; live named tokens: {len(named)}.")


def _router_select(settings: Settings) -> Iterator[Finding]:
    router = edge_router(settings)
    if router is None:
        yield unused("router_select", "Not used: SUPABASE_URL or SUPABASE_ANON_KEY is not set.")
        return

    def call() -> str:
        router.select({"capabilities": ["doctor"]})
        return "The edge function router-select responds."

    yield from attempt("router_select", call, (EdgeFailed,), _EDGE_ADVICE, warning)


def _key_vault(settings: Settings) -> Iterator[Finding]:
    secrets = edge_secrets(settings)
    if secrets is None:
        yield unused("key_vault", "Not used: SUPABASE_URL, SUPABASE_ANON_KEY or the admin token is not set.")
        return

    def call() -> str:
        secrets.secret(settings.env, "cogo:doctor:probe")
        return "The edge function key-vault responds."

    yield from attempt("key_vault", call, (EdgeFailed,), _EDGE_ADVICE, warning)
