"""Checks of external services: Figma, and the targets of alerts. No messages are sent to them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from cogo_dagster.doctor.checks.github import HEADERS, GitHubAccess, check_github
from cogo_dagster.doctor.findings import Finding, failed, ok, unused, warning
from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.guarded import RequestFailed, get
from cogo_dagster.settings import Settings

FindSecret = Callable[[str], str | None]

FIGMA: Final = "https://api.figma.com"


def check_figma(settings: Settings, api: str = FIGMA, allowed: AllowList | None = None) -> Iterator[Finding]:
    """Check whether Figma accepts the token."""
    if settings.figma_api_token is None:
        yield unused("figma", "Not used: FIGMA_API_TOKEN is not set, and Figma jobs do not run here.")
        return
    try:
        token = settings.figma_api_token.get_secret_value()
        response = get(f"{api}/v1/me", {"x-figma-token": token}, allowed=allowed)
    except RequestFailed as error:
        yield failed("figma", f"Figma does not respond: {error}", "Check the network and https://status.figma.com.")
        return
    # The scopes for exports do not include this endpoint: "invalid scope" shows that the token is valid.
    if response.status == 200 or (response.status == 403 and b"scope" in response.content.lower()):
        yield ok("figma", "Figma accepts the token.")
    elif response.status in (401, 403):
        advice = "Create a token with the scopes file_content:read and file_metadata:read."
        yield failed("figma", "Figma rejects FIGMA_API_TOKEN: it is wrong or expired.", advice)
    else:
        yield warning("figma", f"Figma responds with {response.status}.", "See https://status.figma.com.")


def check_webhooks(settings: Settings, find_secret: FindSecret) -> Iterator[Finding]:
    """Check whether each target of alerts is configured and reachable.

    Args:
        find_secret: Reads a secret from the key vault; raises LookupError if it cannot.
    """
    if not settings.webhook_types:
        yield unused("webhooks", "Not used: WEBHOOK_TYPE is not set, and alerts are recorded but not delivered.")
        return
    allowed = AllowList.of(settings.webhook_allowed_hosts, "WEBHOOK_ALLOWED_HOSTS")
    addresses: Mapping[str, tuple[str, SecretStr | None]] = {
        "slack": ("SLACK_WEBHOOK_URL", settings.slack_webhook_url),
        "http": ("WEBHOOK_URL", settings.webhook_url),
        "googlechat": ("GOOGLE_CHAT_WEBHOOK_URL", settings.google_chat_webhook_url),
    }
    for kind in settings.webhook_types:
        if kind == "github":
            yield from _github(settings, allowed)
        else:
            variable, address = addresses[kind]
            value = address.get_secret_value() if address else None
            yield (
                _check_vault_url(find_secret, allowed)
                if kind == "googlechat" and not value
                else _check_url(kind, variable, value, allowed)
            )


def _github(settings: Settings, allowed: AllowList) -> Iterator[Finding]:
    owner, repo, token = settings.github_owner, settings.github_repo, settings.github_token
    if not owner or not repo or token is None:
        missing = [name for name, value in _required(owner, repo, token) if not value]
        advice = "Set them, or remove github from WEBHOOK_TYPE."
        yield failed("github", f"WEBHOOK_TYPE contains github, but {', '.join(missing)} is not set.", advice)
        return
    api = settings.github_api_url.rstrip("/")
    headers = HEADERS | {"authorization": f"Bearer {token.get_secret_value()}"}
    yield from check_github(
        GitHubAccess(owner, repo, settings.github_delivery, lambda path: get(f"{api}{path}", headers, allowed=allowed))
    )


def _required(owner: str | None, repo: str | None, token: SecretStr | None) -> Iterator[tuple[str, bool]]:
    yield "GITHUB_OWNER", bool(owner)
    yield "GITHUB_REPO", bool(repo)
    yield "GITHUB_TOKEN", token is not None


def _check_vault_url(find_secret: FindSecret, allowed: AllowList) -> Finding:
    check, reference = "webhook_googlechat", "googlechat:notify:webhook_url"
    try:
        address = find_secret(reference)
    except LookupError as error:
        return failed(
            check, f"{reference} cannot be read from the vault: {error.args[0]}", "Set GOOGLE_CHAT_WEBHOOK_URL."
        )
    if address is None:
        advice = "Store it with `cogo vault set googlechat notify webhook_url`, or set GOOGLE_CHAT_WEBHOOK_URL."
        return failed(check, f"WEBHOOK_TYPE contains googlechat, but the vault has no {reference}.", advice)
    return _check_url("googlechat", f"{reference} in the vault", address, allowed)


def _check_url(kind: str, variable: str, address: str | None, allowed: AllowList) -> Finding:
    """Request the root page of the host; the webhook URL itself would handle the request as a message."""
    check = f"webhook_{kind}"
    if address is None:
        return failed(check, f"WEBHOOK_TYPE contains {kind}, but {variable} is not set.", f"Set {variable}.")
    try:
        parts = urlsplit(address)
    except ValueError:
        return failed(check, f"{variable} is not a URL.", "Use a URL with https://.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return failed(check, f"{variable} is not a URL.", "Use a URL with https://.")
    try:
        get(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/", allowed=allowed)
    except RequestFailed as error:
        return failed(check, f"{parts.hostname} does not respond: {error}", f"Check {variable} and the network.")
    return ok(check, f"{parts.hostname} responds; `cogo alerts test {kind}` sends a message.")
