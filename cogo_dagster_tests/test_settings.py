"""Settings from the environment, and the messages for invalid values."""

from pathlib import Path
from typing import Any

import pytest

from cogo_dagster.settings import Settings, SettingsError, load_settings

CANARY = "canary-7d1f"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all settings from the environment."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)


@pytest.mark.parametrize(
    ("name", "text", "attribute", "value"),
    [
        ("WORKER_MODE", "db", "worker_mode", "db"),
        ("WORKER_ID", "desk", "worker_id", "desk"),
        ("EXECUTOR_ID", "desk-1", "executor_id", "desk-1"),
        ("MAX_JOBS", "3", "max_jobs", 3),
        ("COGO_LEASE_SECONDS", "5", "lease_seconds", 5),
        ("COGO_CONCURRENCY", "1000", "concurrency", 1000),
        ("COGO_MAX_WORKERS", "1", "max_workers", 1),
        ("COGO_GRACE_SECONDS", "0", "grace_seconds", 0),
        ("COGO_GRACE_SECONDS", "2.5", "grace_seconds", 2.5),
        ("BROWSER_REAL_MODE", "false", "browser_real_mode", False),
        ("BROWSER_REAL_MODE", "0", "browser_real_mode", False),
        ("HEADLESS", "true", "headless", True),
        ("NO_SANDBOX", "1", "no_sandbox", True),
        ("BROWSER_CHANNEL", "chrome", "browser_channel", "chrome"),
        ("BROWSER_NAV_TIMEOUT_MS", "500", "browser_nav_timeout_ms", 500),
        ("BROWSER_FORCE_SUCCESS", "yes", "browser_force_success", True),
        ("COGO_BROWSER_TRACE", "always", "browser_trace", "always"),
        ("BROWSER_ALLOWED_HOSTS", "a.test, B.test:8080,,", "browser_allowed_hosts", ("a.test", "b.test:8080")),
        ("COGO_HOME", "/tmp/../tmp/home", "home", Path("/tmp/home").resolve()),
    ],
)
def test_a_setting_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, *, attribute: str, value: object
) -> None:
    """Each variable is parsed into its value."""
    monkeypatch.setenv(name, text)
    assert getattr(load_settings(), attribute) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WORKER_MODE", "queue"),
        ("WORKER_ID", "x" * 201),
        ("EXECUTOR_ID", "x" * 201),
        ("MAX_JOBS", "0"),
        ("MAX_JOBS", "many"),
        ("COGO_LEASE_SECONDS", "4"),
        ("COGO_LEASE_SECONDS", "3601"),
        ("COGO_LEASE_SECONDS", "1.5"),
        ("COGO_CONCURRENCY", "0"),
        ("COGO_MAX_WORKERS", "-1"),
        ("COGO_GRACE_SECONDS", "-1"),
        ("COGO_GRACE_SECONDS", "nan"),
        ("COGO_GRACE_SECONDS", "inf"),
        ("BROWSER_REAL_MODE", "maybe"),
        ("NO_SANDBOX", "2"),
        ("BROWSER_NAV_TIMEOUT_MS", "0"),
    ],
)
def test_an_invalid_value_has_a_message(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """The message is one line with the variable, its value, and what to do."""
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    message = str(refused.value)
    assert message.startswith(name)
    assert repr(text) in message
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message, "It is more than one message."


def test_all_invalid_values_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """They need not be corrected one after another."""
    monkeypatch.setenv("COGO_CONCURRENCY", "0")
    monkeypatch.setenv("MAX_JOBS", "no")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "COGO_CONCURRENCY" in str(refused.value)
    assert "MAX_JOBS" in str(refused.value)


@pytest.mark.parametrize(
    "given", [{"SUPABASE_URL": "https://x.supabase.co"}, {"SUPABASE_SERVICE_ROLE_KEY": CANARY}], ids=["url", "key"]
)
def test_incomplete_supabase_settings_are_rejected(given: dict[str, Any]) -> None:
    """One of the two alone is an error that names both, and not a silent fallback to the embedded database."""
    with pytest.raises(SettingsError) as refused:
        load_settings(**given)
    assert "SUPABASE_URL" in str(refused.value)
    assert "SUPABASE_SERVICE_ROLE_KEY" in str(refused.value)
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["MAX_JOBS", "COGO_DATABASE_URL", "COGO_HOME", "WORKER_ID", "NO_SANDBOX", "SUPABASE_URL"]
)
@pytest.mark.parametrize("blank", ["", "  "], ids=["empty", "spaces"])
def test_a_blank_value_counts_as_missing(monkeypatch: pytest.MonkeyPatch, name: str, blank: str) -> None:
    """Workflows set a variable to a blank value for a missing secret."""
    default = load_settings()
    monkeypatch.setenv(name, blank)
    assert load_settings() == default


def test_an_override_can_unset_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overrides take precedence over the environment, and a blank one unsets the setting."""
    monkeypatch.setenv("COGO_DATABASE_URL", "postgresql://elsewhere/db")
    monkeypatch.setenv("COGO_CONCURRENCY", "7")
    settings = load_settings(COGO_DATABASE_URL="", COGO_CONCURRENCY="9")
    assert (settings.database_url, settings.concurrency) == (None, 9)


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A dotenv file supplies missing and empty variables; a missing file is not an error."""
    file = tmp_path / ".env"
    file.write_text("COGO_CONCURRENCY=7\nCOGO_LEASE_SECONDS=70\nSOMEBODY_ELSES=1\n")
    monkeypatch.setenv("COGO_CONCURRENCY", "9")
    monkeypatch.setenv("COGO_LEASE_SECONDS", "")
    settings = load_settings(file)
    assert (settings.concurrency, settings.lease_seconds) == (9, 70)
    assert load_settings(tmp_path / "missing").lease_seconds == 60


def test_secrets_are_never_shown() -> None:
    """Neither the settings as text nor an error of another setting contains a secret's value."""
    secrets: dict[str, Any] = {
        "SUPABASE_URL": "https://x.supabase.co",
        "SUPABASE_ANON_KEY": CANARY,
        "SUPABASE_SERVICE_ROLE_KEY": CANARY,
        "COGO_DATABASE_URL": f"postgresql://me:{CANARY}@db/cogo",
        "DAGSTER_POSTGRES_URL": f"postgresql://me:{CANARY}@db/dagster",
    }
    settings = load_settings(**secrets)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert CANARY not in shown
    with pytest.raises(SettingsError) as refused:
        load_settings(**secrets, MAX_JOBS="0")
    assert CANARY not in str(refused.value)


def test_the_settings_are_immutable() -> None:
    """They are read once and passed on."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().concurrency = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        ({"FIGMA_API_TOKEN": "figma-secret"}, "figma-secret"),
        ({"COGO_DATABASE_URL": "postgresql://me:s%40fe-word@db/x"}, "s@fe-word"),
        ({"COGO_DATABASE_URL": "host=db password='safe-word' user=me"}, "safe-word"),
        ({"COGO_VAULT_KEYS": "first-key, second-key"}, "second-key"),
        ({"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/x1y2z3x1y2z3"}, "services/T0/B0/x1y2z3x1y2z3"),
        ({"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/x1y2z3x1y2z3"}, "x1y2z3x1y2z3"),
        ({"GOOGLE_CHAT_WEBHOOK_URL": "https://c.example/v1?key=k&token=a1b2c3d4%2De5f6"}, "a1b2c3d4-e5f6"),
        ({"COGO_GATE_COMMANDS": '{"shop": {"env": {"NPM_TOKEN": "wordonly"}}}'}, "wordonly"),
        (
            {"COGO_GATE_COMMANDS": '{"shop": {"env": {"REGISTRY": "https://me:pw1@npm.example"}}}'},
            "https://me:pw1@npm.example",
        ),
    ],
)
def test_every_secret_is_redacted(given: dict[str, str], hidden: str) -> None:
    """This covers whole settings and secrets inside them."""
    assert hidden in load_settings(None, **given).secret_values()


@pytest.mark.parametrize(
    "given",
    [
        {"WEBHOOK_URL": "https://example.com/hooks/for/alerts"},
        {"COGO_GATE_COMMANDS": '{"shop": {"env": {"NODE_ENV": "production", "PORT": "8080"}}, "odd": 5}'},
        {"COGO_GATE_COMMANDS": "no JSON"},
    ],
)
def test_plain_words_are_not_secrets(given: dict[str, str]) -> None:
    """Otherwise they would be redacted in every text."""
    found = load_settings(None, **given).secret_values()
    assert set(found) <= {"https://example.com/hooks/for/alerts"}


def test_equal_settings_have_equal_hashes() -> None:
    """Caches of objects by settings depend on it."""
    one, same, other = (load_settings(None, COGO_ENV=name) for name in ("dev", "dev", "prod"))
    assert hash(one) == hash(same)
    assert one == same != other
