"""Builds the alert targets of the settings. A missing variable is an error at start."""

import base64
import binascii
from collections.abc import Callable
from typing import Final, TypeVar

from pydantic import SecretStr

from cogo_dagster.alerts.github import GitHubTarget
from cogo_dagster.alerts.google_chat import GoogleChatTarget
from cogo_dagster.alerts.http import HttpTarget
from cogo_dagster.alerts.slack import SlackTarget
from cogo_dagster.alerts.target import Target
from cogo_dagster.net.addresses import AllowList, InvalidAddress
from cogo_dagster.net.webhooks import ALLOW_VARIABLE
from cogo_dagster.settings import Settings, SettingsError

T = TypeVar("T")

GOOGLE_CHAT_REFERENCE: Final = "googlechat:notify:webhook_url"
FindSecret = Callable[[str], str | None]
"""Returns the value of a key-vault reference; None if there is none."""


def no_secret(reference: str) -> str | None:  # noqa: ARG001
    """Return None: the lookup without a key vault."""
    return None


def build_targets(settings: Settings, find_secret: FindSecret = no_secret) -> tuple[Target, ...]:
    """Build the targets in WEBHOOK_TYPE.

    Args:
        settings: The settings.
        find_secret: Lookup in the key vault, for Google Chat's URL if the environment has none.

    Raises:
        SettingsError: A variable of a chosen target is missing or invalid.
    """
    try:
        AllowList.of(settings.webhook_allowed_hosts, ALLOW_VARIABLE)
    except InvalidAddress as error:
        raise SettingsError(f"{ALLOW_VARIABLE}: {error}") from None
    builders: dict[str, Callable[[], Target]] = {
        "slack": lambda: SlackTarget(_address(settings.slack_webhook_url, "slack", "SLACK_WEBHOOK_URL"), settings),
        "googlechat": lambda: _google_chat(settings, find_secret),
        "github": lambda: _github(settings),
        "http": lambda: HttpTarget(_address(settings.webhook_url, "http", "WEBHOOK_URL"), _signing(settings), settings),
    }
    return tuple(builders[name]() for name in dict.fromkeys(settings.webhook_types))


def _google_chat(settings: Settings, find_secret: FindSecret) -> Target:
    setting = settings.google_chat_webhook_url
    if setting is None and find_secret is no_secret:
        raise SettingsError(_missing("googlechat", "GOOGLE_CHAT_WEBHOOK_URL"))
    checked: list[str] = [_checked(setting.get_secret_value(), "GOOGLE_CHAT_WEBHOOK_URL")] if setting else []

    def address() -> str:
        if not checked:
            value = find_secret(GOOGLE_CHAT_REFERENCE)
            if value is None:
                raise SettingsError(
                    f"{_missing('googlechat', 'GOOGLE_CHAT_WEBHOOK_URL')[:-1]}; "
                    f"the key vault has no {GOOGLE_CHAT_REFERENCE} in the environment {settings.env} either."
                )
            checked.append(_checked(value, GOOGLE_CHAT_REFERENCE))
        return checked[0]

    return GoogleChatTarget(address, settings)


def _github(settings: Settings) -> Target:
    owner = _required(settings.github_owner, "github", "GITHUB_OWNER")
    repo = _required(settings.github_repo, "github", "GITHUB_REPO")
    token = _required(settings.github_token, "github", "GITHUB_TOKEN")
    return GitHubTarget(owner, repo, token.get_secret_value(), settings.github_delivery, settings)


def _required(value: T | None, target: str, variable: str) -> T:
    if value is None:
        raise SettingsError(_missing(target, variable))
    return value


def _signing(settings: Settings) -> str | None:
    if settings.webhook_secret is None:
        return None
    secret = settings.webhook_secret.get_secret_value()
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise SettingsError(
            "WEBHOOK_SECRET is not a Standard Webhooks secret (whsec_ and 24 to 64 bytes in base64): "
            'create one with `printf "whsec_%s\\n" "$(openssl rand -base64 32)"`.'
        )
    return secret


def _address(setting: SecretStr | None, target: str, variable: str) -> str:
    if setting is None:
        raise SettingsError(_missing(target, variable))
    return _checked(setting.get_secret_value(), variable)


def _checked(url: str, variable: str) -> str:
    if not url.lower().startswith(("https://", "http://")) or any(char.isspace() for char in url):
        raise SettingsError(f"{variable} is not a URL: it must start with https:// and contain no spaces.")
    return url


def _missing(target: str, variable: str) -> str:
    return f"WEBHOOK_TYPE contains {target}, but {variable} is not set: set it, or remove {target} from WEBHOOK_TYPE."
