"""Checks of a Supabase project: kinds of keys, REST, Storage and Realtime."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster.doctor.checks.supabase import check_keys, check_realtime, check_rest
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.doctor.test_doctor import NO_BROWSER, finding, states
from cogo_dagster_tests.supabase import keys
from cogo_dagster_tests.supabase.server import StandIn, supabase


@pytest.fixture
def project(dsn: str) -> Iterator[StandIn]:
    """Run a project with Realtime on the database of the test."""
    with supabase(dsn, realtime=True) as project:
        yield project


def doctor(folder: Path, project: StandIn, **more: str) -> Terminal:
    """Return a terminal configured with the REST address of the project only."""
    given = {"SUPABASE_URL": project.url, "SUPABASE_SERVICE_ROLE_KEY": keys.SERVICE_ROLE}
    return terminal(folder, None, given | NO_BROWSER | more)


@pytest.mark.parametrize("key", [keys.SERVICE_ROLE, keys.SECRET_KEY], ids=["legacy", "new"])
def test_a_healthy_project(tmp_path: Path, project: StandIn, key: str) -> None:
    """Rows, an object, a signed URL and a channel are each used once."""
    answer = doctor(tmp_path, project, SUPABASE_SERVICE_ROLE_KEY=key, SUPABASE_ANON_KEY=keys.ANON).run(
        "doctor", "--json"
    )
    found = states(answer)
    for check in ("database", "schema", "service_key", "anon_key", "rest", "storage", "signed_url", "realtime"):
        assert found[check] == "ok", finding(answer, check)
    assert "over REST" in finding(answer, "database")["sentence"]
    assert found["router_select"] == "warning"


def test_a_wrong_key_is_reported(tmp_path: Path, project: StandIn) -> None:
    """The anon key as the service role key, and a key of another project."""
    answer = doctor(tmp_path, project, SUPABASE_SERVICE_ROLE_KEY=keys.ANON).run("doctor", "--json")
    assert answer.code == 1
    assert "with the role anon, not service_role" in finding(answer, "service_key")["sentence"]
    assert finding(answer, "database")["state"] == "failed"
    [rest] = check_rest(project.url, keys.legacy_key("service_role", secret=keys.ANOTHER_SECRET))
    assert (rest.state, "rejects SUPABASE_SERVICE_ROLE_KEY" in rest.sentence) == ("failed", True)


def legacy(**claims: object) -> str:
    """Return a token with the format of a legacy key."""
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims, 1)
    )


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("sb_publishable_x", "publishable key with the role anon"),
        ("secret", "is not a key"),
        ("a.b.c", "is not a key"),
        (legacy(role="service_role", exp=1), "has expired"),
        (legacy(role="service_role", ref="other"), "belongs to the project other"),
    ],
)
def test_keys_are_checked_without_a_request(service: str, message: str) -> None:
    """Kind, role, expiry and project are read from the key."""
    found = next(check_keys("https://mine.supabase.co", service, None, None))
    assert (found.check, found.state) == ("service_key", "failed")
    assert message in found.sentence
    assert service not in found.sentence


def test_valid_keys_of_both_kinds_are_accepted() -> None:
    """The public keys are checked too."""
    for key in ("sb_secret_x", legacy(role="service_role", ref="mine", exp=9_999_999_999)):
        states = [found.state for found in check_keys("https://mine.supabase.co", key, "sb_publishable_x", key)]
        assert states == ["ok", "ok", "failed"]


def test_a_project_without_realtime_is_a_warning(dsn: str) -> None:
    """Workers poll without Realtime."""
    with supabase(dsn) as project:
        [found] = check_realtime(project.url, keys.SERVICE_ROLE, timeout_seconds=3)
    assert (found.state, "poll" in str(found.advice)) == ("warning", True)


def test_a_project_with_private_channels_only_is_healthy(project: StandIn) -> None:
    """The check joins a private channel, as workers do."""
    assert project.realtime is not None
    project.realtime.private_only = True
    [found] = check_realtime(project.url, keys.SERVICE_ROLE, timeout_seconds=3)
    assert found.state == "ok"


def test_an_unreachable_project_is_reported() -> None:
    """REST is failed, and Realtime is a warning."""
    [rest] = check_rest("http://127.0.0.1:9", keys.SERVICE_ROLE)
    assert (rest.state, "does not respond" in rest.sentence) == ("failed", True)
    [realtime] = check_realtime("http://127.0.0.1:9", keys.SERVICE_ROLE)
    assert realtime.state == "warning"
