"""What `cogo doctor` looks at: the checks that these settings ask for, over the objects that bootstrap builds."""

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
from cogo_dagster.doctor.checks.storage import check_storage
from cogo_dagster.doctor.checks.supabase import check_keys, check_realtime, check_rest
from cogo_dagster.doctor.findings import Check, Finding, State, examine, failed, ok, unused, warning
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
    "Deploy it with `supabase functions deploy`, and give it QUALITY_NOTIFY_ADMIN_TOKEN with `supabase secrets set`; "
    "the database path serves meanwhile."
)


def checkup(settings: Settings) -> list[Finding]:
    """Check everything these settings use, side by side, and return what was found, in a fixed order."""
    application: Application | None = None
    with ExitStack() as opened:
        try:
            application = opened.enter_context(open_application(settings))
        except (QueueError, SettingsError) as error:
            finding = _unopened(error)
            of_database: list[tuple[str, Check]] = [("database", lambda: [finding])]
        else:
            of_database = _of_database(application)
        checks = [*of_database, *_of_machine(settings, application), *_of_outside(settings)]
        find_secret = _finder(application)
        checks.append(("webhooks", lambda: check_webhooks(settings, find_secret)))
        return examine(checks, settings.secret_values())


def worst(findings: list[Finding]) -> State:
    """Return the state of the whole."""
    return next((state for state in State if any(finding.state is state for finding in findings)), State.UNUSED)


def _of_database(application: Application) -> list[tuple[str, Check]]:
    return [
        ("database", lambda: _database(application)),
        ("alerts", lambda: check_deliveries(application.alerts.target_health())),
        ("storage", lambda: check_storage(application.store)),
    ]


def _of_machine(settings: Settings, application: Application | None) -> list[tuple[str, Check]]:
    return [
        ("disk", lambda: check_disk(settings.home)),
        ("executors", lambda: _executors(settings)),
        ("browser", lambda: _browser(settings)),
        ("gate_isolation", lambda: _gate_isolation(settings)),
        ("dagster", lambda: _dagster(settings)),
        ("admin_token", lambda: _admin_token(settings, application)),
    ]


def _of_outside(settings: Settings) -> list[tuple[str, Check]]:
    return [
        *_of_supabase(settings),
        ("router_select", lambda: _router_select(settings)),
        ("key_vault", lambda: _key_vault(settings)),
        ("figma", lambda: check_figma(settings)),
    ]


def _of_supabase(settings: Settings) -> list[tuple[str, Check]]:
    url, service = settings.supabase_url, settings.supabase_service_role_key
    if url is None or service is None:
        return [("supabase", lambda: [unused("supabase", "SUPABASE_URL is not set.")])]
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
        yield _unopened(error)
        return
    embedded = application.settings.uses_embedded_database
    where = "over REST" if application.dsn is None else "embedded" if embedded else "your own"
    yield from check_database(facts, where=where, pooled=application.pooled)
    yield ok("schema", "The schema is at this code's release.")
    yield from check_work(facts)
    yield from check_vault(facts, key_ids, problem)


def _unopened(error: Exception) -> Finding:
    if isinstance(error, SchemaOutOfDate):
        return failed("schema", str(error), "Run `cogo db migrate`, or what `cogo db sql` prints in the SQL Editor.")
    if isinstance(error, SchemaTooNew):
        return failed("schema", str(error), "Update this installation.")
    return failed("database", str(error), "Until then nothing is known of jobs, workers and secrets.")


def _vault(settings: Settings) -> tuple[tuple[str, ...], str | None]:
    try:
        return vault_keys(settings)().key_ids, None
    except NoVaultKeys as error:
        return (), str(error)


def _finder(application: Application | None) -> FindSecret:
    """Return what looks into the vault, and raises LookupError where that cannot be done."""

    def find(reference: str) -> str | None:
        if application is None:
            raise LookupError("the database cannot be asked")
        try:
            return application.vault.get(reference)
        except (VaultError, QueueError) as error:
            raise LookupError(str(error)) from None

    return find


def _executors(settings: Settings) -> Iterator[Finding]:
    loaded = installed_executors(settings)
    for sentence in loaded.broken.values():
        advice = "Mend or remove the package; until then its jobs are left to other workers."
        yield failed("executors", sentence, advice)
    if not loaded.broken:
        yield ok("executors", f"{', '.join(executor.family for executor in loaded.executors)} can be loaded.")


def _browser(settings: Settings) -> Iterator[Finding]:
    if not settings.browser_real_mode:
        yield unused("browser", "BROWSER_REAL_MODE is false: pages are fetched without a browser.")
        return
    # Playwright is slow to import.
    from cogo_dagster.executors.browser.options import BrowserOptions  # noqa: PLC0415
    from cogo_dagster.executors.browser.trial import try_browser  # noqa: PLC0415

    try:
        missing = asyncio.run(try_browser(replace(BrowserOptions.from_settings(settings), install=False)))
    except ExecutorUnavailable as error:
        advice = "Until then workers here refuse to start, unless BROWSER_REAL_MODE=false."
        yield failed("browser", str(error), advice)
        return
    yield ok("browser", "A browser is found and starts.")
    yield check_fonts(missing, fonts_advice())


def _gate_isolation(settings: Settings) -> Iterator[Finding]:
    check = "gate_isolation"
    if settings.gate_commands is None:
        yield unused(check, "COGO_GATE_COMMANDS is not set: no commit's code is run here.")
        return
    ways = isolation()
    if settings.gate_unisolated:
        advice = "Unset COGO_GATE_UNISOLATED." if ways.possible else "Run gate jobs on Linux 5.13 or newer."
        yield warning(check, "Gate commands run with the worker's rights, and can read its secrets.", advice)
    elif not ways.possible:
        sentence = "This machine has no Landlock and no namespaces: gate jobs are left to other workers."
        yield failed(check, sentence, "Run them on Linux 5.13 or newer, or set COGO_GATE_UNISOLATED=true.")
    elif gaps := ways.gaps():
        yield warning(check, f"{ways.description()} But {'; '.join(gaps)}.", "Use a newer kernel, or allow namespaces.")
    else:
        yield ok(check, ways.description())


def _dagster(settings: Settings) -> Iterator[Finding]:
    if settings.dagster_postgres_url is None and not embedded_server(settings).status().running:
        yield unused("dagster", "Dagster's storage, on the embedded server, does not run; `cogo dev` starts it.")
        return

    def connected() -> str:
        connect(dagster_storage_url(settings).replace("+psycopg2", "", 1)).close()
        return "Dagster's storage lets us in."

    advice = "Check DAGSTER_POSTGRES_URL; without it the embedded server keeps Dagster's runs."
    yield from attempt("dagster", connected, (QueueError, SettingsError), advice)


def _admin_token(settings: Settings, application: Application | None) -> Iterator[Finding]:
    if application is None:
        # Of the environment alone: the vault cannot be asked.
        yield from check_admin_token(AdminTokens(token_of(settings), None), [])
        return
    try:
        found = admin_tokens(settings, application.transport)
        named = AccessTokens(application.transport).rows(live_only=True)
    except (VaultError, QueueError) as error:
        yield warning("admin_token", str(error), "Until then the dashboard cannot use the vault's admin token.")
        return
    yield from check_admin_token(found, [row.name for row in named])


def check_admin_token(found: AdminTokens, named: list[str]) -> Iterator[Finding]:
    """Say who can log in to the dashboard.

    Args:
        named: Names of the live access tokens.
    """
    if found.token is None and not named:
        sentence = "There is neither an admin token nor a named one: nobody can log in to the dashboard."
        yield unused("admin_token", sentence)
    elif found.token is None:
        yield ok("admin_token", f"There is no admin token, and {len(named)} named ones.")
    elif found.differ:
        yield warning(
            "admin_token",
            f"{VARIABLE} and the vault's {REFERENCE} differ: the environment's counts.",
            f"Take one away: `cogo vault remove {REFERENCE}`, or unset {VARIABLE}.",
        )
    elif len(found.token) < SHORT_CHARACTERS:
        yield warning("admin_token", "The admin token is short.", "Make one with `cogo vault new-token`.")
    else:
        yield ok("admin_token", f"The admin token is {found.source}; {len(named)} named ones are live.")


def _router_select(settings: Settings) -> Iterator[Finding]:
    chooser = edge_router(settings)
    if chooser is None:
        yield unused("router_select", "The edge function is not called: no project, or no SUPABASE_ANON_KEY.")
        return

    def asked() -> str:
        chooser.select({"capabilities": ["doctor"]})
        return "The edge function router-select answers."

    yield from attempt("router_select", asked, (EdgeFailed,), _EDGE_ADVICE, warning)


def _key_vault(settings: Settings) -> Iterator[Finding]:
    secrets = edge_secrets(settings)
    if secrets is None:
        yield unused("key_vault", "The edge function is not called: no project, anon key or admin token.")
        return

    def asked() -> str:
        secrets.secret(settings.env, "cogo:doctor:probe")
        return "The edge function key-vault answers."

    yield from attempt("key_vault", asked, (EdgeFailed,), _EDGE_ADVICE, warning)
