"""Settings from environment variables, read once and passed on.

The names are those of the operations runbook; `.env.example` describes each of them.
"""

import os
import platform
import re
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from cogo_dagster.machine import slots_of_this_machine
from cogo_dagster.text import is_storable, load_json
from cogo_dagster.validation import Mistake, mistakes

PROJECT_ROOT = Path(__file__).resolve().parent.parent

_PASSWORD: Final = re.compile(r"\bpassword\s*=\s*'?([^'\s&]+)")
_WEB_URL: Final = re.compile(r"https?://[^\s/]\S*$", re.IGNORECASE)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\[\]]*$")
_STORAGE_URL: Final = re.compile(
    r"(?P<scheme>s3|gs|az)://(?P<path>[A-Za-z0-9][A-Za-z0-9._-]{1,254}(/(?!\.\.?(/|$))[A-Za-z0-9._=-]+)*)/?|file://(?P<folder>/[^?#\0]*)"
)
_SECRET_NAME: Final = re.compile(r"(?i)TOKEN|KEY|SECRET|PASS|AUTH|CREDENTIAL|PWD|DSN|URL")
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z]*|[0-9.:,]*")

WebhookType = Literal["github", "slack", "http", "googlechat"]


class SettingsError(Exception):
    """A setting is missing or invalid; the message names it and states what to do."""


def _default_worker_id() -> str:
    return platform.node() or "worker"


def is_checkout() -> bool:
    """Whether this is a clone of the repository, not an installed wheel."""
    return (PROJECT_ROOT / "dagster.yaml").is_file()


def default_home() -> Path:
    """Return the default data folder: `.cogo` in a checkout, else in the home folder of the account."""
    return PROJECT_ROOT / ".cogo" if is_checkout() else Path("~/.cogo").expanduser()


@dataclass(frozen=True, slots=True)
class StorageUrl:
    """The address of a storage of files.

    Attributes:
        scheme: `file`, `s3`, `gs` or `az`.
        path: The folder, or the bucket with an optional prefix.
    """

    scheme: str
    path: str

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse a URL.

        Raises:
            ValueError: It is not a URL of a storage.
        """
        found = _STORAGE_URL.fullmatch(text)
        if found is None:
            raise ValueError(
                "it is not the URL of a storage: use s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or "
                "file:///folder, without a key, a query or spaces"
            )
        return cls(found["scheme"] or "file", found["path"] or found["folder"])


class Settings(BaseModel):
    """The settings, immutable. Durations are in seconds unless the name ends in `_ms`, `_hours` or `_days`."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    # Database and storage
    supabase_url: str | None = Field(None, alias="SUPABASE_URL")
    supabase_anon_key: SecretStr | None = Field(None, alias="SUPABASE_ANON_KEY")
    supabase_publishable_key: SecretStr | None = Field(None, alias="SUPABASE_PUBLISHABLE_KEY")
    supabase_service_role_key: SecretStr | None = Field(None, alias="SUPABASE_SERVICE_ROLE_KEY")
    artifact_bucket: str = Field("artifacts", alias="COGO_ARTIFACT_BUCKET", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    artifact_bucket_create: bool = Field(False, alias="COGO_ARTIFACT_BUCKET_CREATE")
    artifact_url: str | None = Field(None, alias="COGO_ARTIFACT_URL")
    compute_logs_url: str | None = Field(None, alias="COGO_COMPUTE_LOGS_URL")
    aws_access_key_id: str | None = Field(None, alias="AWS_ACCESS_KEY_ID")
    aws_secret_access_key: SecretStr | None = Field(None, alias="AWS_SECRET_ACCESS_KEY")
    aws_session_token: SecretStr | None = Field(None, alias="AWS_SESSION_TOKEN")
    aws_endpoint_url: str | None = Field(None, alias="AWS_ENDPOINT_URL", pattern=r"^https?://\S+$")
    aws_region: str | None = Field(None, alias="AWS_REGION")
    google_application_credentials: Path | None = Field(None, alias="GOOGLE_APPLICATION_CREDENTIALS")
    azure_connection_string: SecretStr | None = Field(None, alias="AZURE_STORAGE_CONNECTION_STRING")
    database_url: SecretStr | None = Field(None, alias="COGO_DATABASE_URL")
    home: Path = Field(default_factory=default_home, alias="COGO_HOME")
    dagster_postgres_url: SecretStr | None = Field(None, alias="DAGSTER_POSTGRES_URL")
    dagster_home: Path | None = Field(None, alias="DAGSTER_HOME")
    first_day: date | None = Field(None, alias="COGO_FIRST_DAY", ge=date(2000, 1, 1))
    database_idle_seconds: float = Field(300, alias="COGO_DATABASE_IDLE_SECONDS", ge=0, le=86_400)

    # Worker
    worker_mode: Literal["db"] = Field("db", alias="WORKER_MODE")
    worker_id: str = Field(default_factory=_default_worker_id, alias="WORKER_ID", min_length=1, max_length=200)
    executor_id: str | None = Field(None, alias="EXECUTOR_ID", max_length=200)
    max_jobs: int | None = Field(None, alias="MAX_JOBS", ge=1)
    lease_seconds: int = Field(60, alias="COGO_LEASE_SECONDS", ge=5, le=3600)
    concurrency: int = Field(default_factory=slots_of_this_machine, alias="COGO_CONCURRENCY", ge=1, le=1000)
    max_workers: int = Field(2, alias="COGO_MAX_WORKERS", ge=1, le=100)
    pool_size: int = Field(8, alias="COGO_POOL_SIZE", ge=1, le=1000)
    grace_seconds: float = Field(25, alias="COGO_GRACE_SECONDS", ge=0, le=3600)
    max_payload_bytes: int | None = Field(None, alias="COGO_MAX_PAYLOAD_BYTES", ge=1_000, le=100_000_000)
    job_timeout_seconds: float = Field(3600, alias="COGO_JOB_TIMEOUT_SECONDS", ge=1, le=86_400)

    # Retention
    worker_ttl_days: int = Field(30, alias="COGO_WORKER_TTL_DAYS", ge=1, le=36_500)
    heartbeat_ttl_days: int = Field(1, alias="COGO_HEARTBEAT_TTL_DAYS", ge=1, le=36_500)
    operation_ttl_days: int = Field(400, alias="COGO_OPERATION_TTL_DAYS", ge=1, le=36_500)
    dlq_ttl_days: int = Field(180, alias="COGO_DLQ_TTL_DAYS", ge=1, le=36_500)
    alert_ttl_days: int = Field(90, alias="COGO_ALERT_TTL_DAYS", ge=1, le=36_500)
    dagster_run_ttl_days: int = Field(14, alias="COGO_DAGSTER_RUN_TTL_DAYS", ge=1, le=36_500)
    numbers_ttl_days: int = Field(400, alias="COGO_NUMBERS_TTL_DAYS", ge=31, le=36_500)
    measure_ttl_days: int = Field(8, alias="COGO_MEASURE_TTL_DAYS", ge=8, le=36_500)
    deduplication_ttl_days: int = Field(8, alias="COGO_DEDUPLICATION_TTL_DAYS", ge=8, le=36_500)
    gate_ttl_days: int | None = Field(None, alias="COGO_GATE_TTL_DAYS", ge=31, le=36_500)
    asset_history_ttl_days: int = Field(400, alias="COGO_ASSET_HISTORY_TTL_DAYS", ge=1, le=36_500)
    expired_artifact_ttl_days: int | None = Field(None, alias="COGO_EXPIRED_ARTIFACT_TTL_DAYS", ge=1, le=36_500)
    unknown_object_ttl_hours: float = Field(1, alias="COGO_UNKNOWN_OBJECT_TTL_HOURS", ge=1, le=8_760)
    session_ttl_hours: float = Field(12, alias="COGO_SESSION_TTL_HOURS", ge=0.1, le=720)

    # Browser
    browser_real_mode: bool = Field(True, alias="BROWSER_REAL_MODE")
    headless: bool = Field(True, alias="HEADLESS")
    no_sandbox: bool = Field(False, alias="NO_SANDBOX")
    browser_channel: str | None = Field(None, alias="BROWSER_CHANNEL")
    browser_nav_timeout_ms: int = Field(30_000, alias="BROWSER_NAV_TIMEOUT_MS", ge=1, le=600_000)
    browser_force_success: bool = Field(False, alias="BROWSER_FORCE_SUCCESS")
    browser_trace: Literal["retries", "always", "never"] = Field("retries", alias="COGO_BROWSER_TRACE")
    browser_allowed_hosts: tuple[str, ...] = Field((), alias="BROWSER_ALLOWED_HOSTS")
    browser_test_url: str | None = Field(None, alias="BROWSER_TEST_URL")

    # Figma
    figma_api_token: SecretStr | None = Field(None, alias="FIGMA_API_TOKEN")

    # Quality gate
    gate_commands: str | None = Field(None, alias="COGO_GATE_COMMANDS")
    gate_unisolated: bool = Field(False, alias="COGO_GATE_UNISOLATED")
    gate_min_pass_rate: float = Field(70, alias="COGO_GATE_MIN_PASS_RATE", ge=0, le=100)
    gate_min_runs: int = Field(5, alias="COGO_GATE_MIN_RUNS", ge=1, le=10_000)
    gate_branch: str = Field("main", alias="COGO_GATE_BRANCH", min_length=1, max_length=255)

    # Alerts
    webhook_types: tuple[WebhookType, ...] = Field((), alias="WEBHOOK_TYPE")
    webhook_url: SecretStr | None = Field(None, alias="WEBHOOK_URL")
    webhook_secret: SecretStr | None = Field(None, alias="WEBHOOK_SECRET")
    webhook_allowed_hosts: tuple[str, ...] = Field((), alias="WEBHOOK_ALLOWED_HOSTS")
    slack_webhook_url: SecretStr | None = Field(None, alias="SLACK_WEBHOOK_URL")
    google_chat_webhook_url: SecretStr | None = Field(None, alias="GOOGLE_CHAT_WEBHOOK_URL")
    github_owner: str | None = Field(None, alias="GITHUB_OWNER")
    github_repo: str | None = Field(None, alias="GITHUB_REPO")
    github_token: SecretStr | None = Field(None, alias="GITHUB_TOKEN")
    github_delivery: Literal["dispatch", "issues"] = Field("dispatch", alias="COGO_GITHUB_DELIVERY")
    github_api_url: str = Field("https://api.github.com", alias="GITHUB_API_URL", pattern=r"^https?://\S+$")
    alert_repeat_seconds: float = Field(1800, alias="COGO_ALERT_REPEAT_SECONDS", ge=60, le=604_800)
    stranded_seconds: float = Field(180, alias="COGO_STRANDED_SECONDS", ge=0, le=604_800)
    deadman_url: SecretStr | None = Field(None, alias="COGO_DEADMAN_URL")

    # Secrets and edge functions
    env: str = Field("dev", alias="COGO_ENV", pattern=r"^[a-z][a-z0-9_-]{0,30}$")
    vault_keys: SecretStr | None = Field(None, alias="COGO_VAULT_KEYS")
    admin_token: SecretStr | None = Field(None, alias="QUALITY_NOTIFY_ADMIN_TOKEN")
    router_select_url: str | None = Field(None, alias="ROUTER_SELECT_URL")
    key_vault_url: str | None = Field(None, alias="KEY_VAULT_URL")
    provider_allowed_hosts: tuple[str, ...] = Field((), alias="PROVIDER_ALLOWED_HOSTS")

    # URLs and access
    metrics_base: str | None = Field(None, alias="METRICS_BASE")
    dagster_url: str = Field("http://127.0.0.1:3000", alias="COGO_DAGSTER_URL")
    web_hosts: tuple[str, ...] = Field((), alias="COGO_WEB_HOSTS")
    web_trusted_proxies: tuple[str, ...] = Field((), alias="COGO_WEB_TRUSTED_PROXIES")
    metrics_open: bool = Field(False, alias="COGO_METRICS_OPEN")

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: Any) -> Any:
        """Drop blank values, so that an override can unset a variable."""
        for name, value in values.items():
            if isinstance(value, str) and not is_storable(value):
                raise ValueError(f"{name} is not UTF-8 text without U+0000: correct it in the environment or in .env")
        return {name: value for name, value in values.items() if not isinstance(value, str) or value.strip()}

    @field_validator("home", "dagster_home", mode="after")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder.expanduser().resolve() if folder else None

    @field_validator(
        "browser_allowed_hosts",
        "webhook_allowed_hosts",
        "provider_allowed_hosts",
        "webhook_types",
        "web_hosts",
        "web_trusted_proxies",
        mode="before",
    )
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("deadman_url", mode="after")
    @classmethod
    def _check_web_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _WEB_URL.match(value.get_secret_value()):
            raise ValueError("it is not a URL: use one with https:// or http:// and without spaces")
        return value

    @field_validator("artifact_url", "compute_logs_url", mode="after")
    @classmethod
    def _check_storage_url(cls, value: str | None) -> str | None:
        if value is not None:
            StorageUrl.from_text(value)
        return value

    @field_validator("web_trusted_proxies", mode="after")
    @classmethod
    def _check_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network, strict=False)
        return networks

    @property
    def uses_embedded_database(self) -> bool:
        """Whether no other database is configured."""
        return self.database_url is None and self.supabase_url is None

    @property
    def uses_rest(self) -> bool:
        """Whether the queue is accessed over the REST API of Supabase, because no connection string is set."""
        return self.database_url is None and self.supabase_url is not None

    def secret_values(self) -> tuple[str, ...]:
        """Return all secrets of the settings, for redaction.

        Includes passwords, paths and queries of secret URLs, and the environment of gate commands.
        """
        secrets = [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]
        passwords = [unquote(urlsplit(text).password or "") for text in secrets if _URL.match(text)]
        passwords += [found for text in secrets for found in _PASSWORD.findall(text)]
        parts = [part for text in secrets if _WEB_URL.match(text) for part in secret_parts(text)]
        keys = self.vault_keys.get_secret_value().replace(",", " ").split() if self.vault_keys else []
        values = (*secrets, *passwords, *parts, *keys, *_gate_values(self.gate_commands))
        return tuple(dict.fromkeys(value for value in values if value))

    @model_validator(mode="after")
    def _check_supabase(self) -> Self:
        if self.supabase_url and not self.supabase_service_role_key:
            raise ValueError(
                "SUPABASE_URL is set but SUPABASE_SERVICE_ROLE_KEY is not: "
                "set both, or neither to use the embedded database"
            )
        if self.supabase_service_role_key and not self.supabase_url and not self.database_url:
            raise ValueError("SUPABASE_SERVICE_ROLE_KEY is set but SUPABASE_URL is not: set both, or neither")
        return self


def secret_parts(address: str) -> list[str]:
    """Return the secret parts of a webhook URL: the path and the values of the query, if long enough.

    A path without digits, such as /webhooks/alerts, is not secret, because its words would be redacted in every text.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return []
    path = parts.path.strip("/")
    found = [path, path.rpartition("/")[2], *(value for _, value in parse_qsl(parts.query))]
    return [part for part in found if len(part) >= 12 and any(character.isdigit() for character in part)]


def _gate_values(commands: str | None) -> list[str]:
    """Return the secret values of `env` in COGO_GATE_COMMANDS; plain words and numbers only by names such as TOKEN."""
    try:
        repositories = load_json(commands or "{}")
    except ValueError:
        return []  # reported when the commands are parsed
    entries = repositories.values() if isinstance(repositories, dict) else ()
    variables = [entry["env"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("env"), dict)]
    return [
        value
        for env in variables
        for name, value in env.items()
        if isinstance(value, str) and (_SECRET_NAME.search(name) or not _PLAIN_VALUE.fullmatch(value))
    ]


_NAMES: Final = tuple(str(field.alias) for field in Settings.model_fields.values())


def load_settings(env_file: Path | None = None, **overrides: Any) -> Settings:
    """Load the settings from the environment.

    Args:
        env_file: A dotenv file with lower precedence than the environment; ignored if it does not exist.
        overrides: Values by variable name with higher precedence, such as `COGO_LEASE_SECONDS=5`.

    Raises:
        SettingsError: A setting is invalid; one message per setting.
    """
    # pydantic-settings would examine the type of every field at each call, which takes ten times as long.
    stored = (
        dotenv_values(env_file, encoding="utf-8") if env_file and (env_file.is_file() or env_file.is_fifo()) else {}
    )
    given = {name: text for name in _NAMES if (text := os.environ.get(name) or stored.get(name))}
    try:
        return Settings.model_validate(given | overrides)
    except ValidationError as error:
        raise SettingsError(" ".join(_message(mistake) for mistake in mistakes(error))) from None


def _message(mistake: Mistake) -> str:
    if not mistake.place:
        return f"{mistake.reason}."
    name, value = mistake.place[0], mistake.value
    if name == "WORKER_MODE":
        return f"WORKER_MODE must be db (the only mode), but it is {value!r}: set it to db or unset it."
    return f"{name} is {value!r}: {mistake.lowered}; correct it in the environment or in .env."


def is_root() -> bool:
    """Whether this process runs as root, as which browsers and database servers do not start normally."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
