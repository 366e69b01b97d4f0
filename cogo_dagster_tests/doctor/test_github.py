"""Checks of access to GitHub: which cause the doctor reports for each response."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from cogo_dagster.doctor.checks.services import check_webhooks
from cogo_dagster.doctor.findings import Finding
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.doctor.site import Answer, Request, site

TOKEN = "canary-7f3a91d2"
REPOSITORY = {
    "full_name": "acme/ops",
    "private": True,
    "archived": False,
    "has_issues": True,
    "default_branch": "main",
    "permissions": {"push": True},
}
USER, REPO, OWNER = "/user", "/repos/acme/ops", "/users/acme"
WORKFLOW = "/repos/acme/ops/contents/.github/workflows/alert-issues.yml?ref=main"
CLASSIC = {"x-oauth-scopes": "repo, workflow"}


@dataclass
class GitHub:
    """GitHub as documented: a valid setup, changed by the test."""

    answers: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        healthy: dict[str, Answer] = {
            USER: reply(200, {"login": "bot"}, CLASSIC),
            REPO: reply(200, REPOSITORY),
            OWNER: reply(200, {"login": "acme"}),
            WORKFLOW: reply(200, {"path": ".github/workflows/alert-issues.yml"}),
        }
        self.answers = healthy | self.answers

    def __call__(self, request: Request) -> Answer:
        """Respond to one request with valid headers."""
        assert request.method == "GET"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert "cogo" in request.headers["user-agent"]
        return self.answers.get(request.path, reply(404, {"message": "Not Found"}))


def reply(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Return a JSON response."""
    return status, {"content-type": "application/json"} | (headers or {}), json.dumps(body).encode()


def findings(answers: dict[str, Answer], **more: str) -> list[Finding]:
    """Return the findings for these responses of GitHub."""
    with site(GitHub(answers)) as there:
        given = {
            "WEBHOOK_TYPE": "github",
            "GITHUB_OWNER": "acme",
            "GITHUB_REPO": "ops",
            "GITHUB_TOKEN": TOKEN,
            "WEBHOOK_ALLOWED_HOSTS": there.host,
            "GITHUB_API_URL": there.url,
        }
        found = list(check_webhooks(load_settings(None, **(given | more)), lambda _: None))
    assert TOKEN not in str(found)
    return found


NOT_FOUND = reply(404, {"message": "Not Found"})
FINE_GRAINED = reply(200, {"login": "bot"})


@pytest.mark.parametrize(
    ("answers", "message", "advice"),
    [
        ({USER: reply(401, {"message": "Bad credentials"})}, "GitHub rejects the token", "Replace GITHUB_TOKEN"),
        (
            {
                REPO: reply(
                    403, {}, {"x-github-sso": "required; url=https://github.com/orgs/acme/sso?authorization_request=A1"}
                )
            },
            "authorized for single sign-on",
            "https://github.com/orgs/acme/sso",
        ),
        ({REPO: reply(404, {}, {"x-github-sso": "required"})}, "authorized for single sign-on", "Configure SSO"),
        ({REPO: NOT_FOUND, OWNER: NOT_FOUND}, "acme does not exist on GitHub", "GITHUB_OWNER"),
        (
            {USER: reply(200, {}, {"x-oauth-scopes": "read:user"}), REPO: NOT_FOUND},
            "has no scope for private ones",
            "scopes repo and workflow",
        ),
        ({REPO: NOT_FOUND}, "the token of bot cannot access the repository ops", "GITHUB_REPO"),
        ({USER: FINE_GRAINED, REPO: NOT_FOUND}, "cannot access the repository ops", "select the repository"),
        (
            {USER: FINE_GRAINED, REPO: reply(403, {"message": "Resource not accessible by personal access token"})},
            "may not read acme/ops",
            "Contents: write",
        ),
        ({REPO: reply(200, REPOSITORY | {"full_name": "acme/moved"})}, "has moved to acme/moved", "GITHUB_REPO=moved"),
        ({USER: reply(200, {}, {"x-oauth-scopes": ""})}, "scopes none", "repo and workflow"),
        ({REPO: reply(200, REPOSITORY | {"archived": True})}, "is archived", "another repository"),
        ({REPO: reply(200, REPOSITORY | {"has_issues": False})}, "Issues are disabled", "Enable them"),
        (
            {USER: FINE_GRAINED, REPO: reply(200, REPOSITORY | {"permissions": {"push": False}})},
            "no write access",
            "Give the owner of the token write access",
        ),
    ],
)
def test_the_cause_is_reported(answers: dict[str, Answer], message: str, advice: str) -> None:
    """There is one finding, with advice."""
    [found] = findings(answers)
    assert (found.check, found.state) == ("github", "failed")
    assert message in found.sentence
    assert found.advice
    assert advice in found.advice


def test_a_renamed_repository_is_reported() -> None:
    """GitHub redirects GET requests, but not dispatches."""
    moved = {
        REPO: (301, {"location": "/repositories/42"}, b""),
        "/repositories/42": reply(200, REPOSITORY | {"full_name": "acme/operations"}),
    }
    [found] = findings(moved)
    assert "has moved to acme/operations" in found.sentence


def test_a_valid_setup() -> None:
    """The workflow is checked for dispatches, and not for issues."""
    assert [(found.check, found.state) for found in findings({})] == [("github", "ok"), ("github_workflow", "ok")]
    issues = findings({}, COGO_GITHUB_DELIVERY="issues")
    assert [(found.check, found.state) for found in issues] == [("github", "ok")]


def test_a_dispatch_without_a_workflow_is_reported() -> None:
    """GitHub accepts such a dispatch with 204."""
    _, found = findings({WORKFLOW: NOT_FOUND})
    assert (found.check, found.state) == ("github_workflow", "failed")
    assert "dispatches have no effect" in found.sentence


def test_an_exhausted_rate_limit_is_a_warning() -> None:
    """The access could not be checked."""
    [found] = findings({REPO: reply(403, {}, {"x-ratelimit-remaining": "0"})})
    assert found.state == "warning"


def test_missing_settings_are_reported() -> None:
    """One finding names all missing variables."""
    [found] = findings({}, GITHUB_OWNER="", GITHUB_TOKEN="")
    assert "GITHUB_OWNER, GITHUB_TOKEN is not set" in found.sentence
