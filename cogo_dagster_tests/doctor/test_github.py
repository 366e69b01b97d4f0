"""The 404 of repository_dispatch taken apart: what GitHub answers, and which of the causes the doctor names."""

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
    """GitHub as its documentation says it answers: a healthy set-up, changed where a test says so."""

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
        """Answer one request that is made as GitHub wants it."""
        assert request.method == "GET"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert "cogo" in request.headers["user-agent"]
        return self.answers.get(request.path, reply(404, {"message": "Not Found"}))


def reply(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Return a JSON answer."""
    return status, {"content-type": "application/json"} | (headers or {}), json.dumps(body).encode()


def findings(answers: dict[str, Answer], **more: str) -> list[Finding]:
    """Let the doctor look at such a GitHub."""
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
    ("answers", "sentence", "advice"),
    [
        ({USER: reply(401, {"message": "Bad credentials"})}, "does not know the token", "Set GITHUB_TOKEN anew"),
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
        ({REPO: NOT_FOUND, OWNER: NOT_FOUND}, "There is no acme on GitHub", "GITHUB_OWNER"),
        (
            {USER: reply(200, {}, {"x-oauth-scopes": "read:user"}), REPO: NOT_FOUND},
            "has no scope to see private ones",
            "scopes repo and workflow",
        ),
        ({REPO: NOT_FOUND}, "the token of bot sees no repository ops there", "GITHUB_REPO"),
        ({USER: FINE_GRAINED, REPO: NOT_FOUND}, "sees no repository ops there", "select the repository"),
        (
            {USER: FINE_GRAINED, REPO: reply(403, {"message": "Resource not accessible by personal access token"})},
            "may not see acme/ops",
            "Contents: write",
        ),
        ({REPO: reply(200, REPOSITORY | {"full_name": "acme/moved"})}, "has moved to acme/moved", "GITHUB_REPO=moved"),
        ({USER: reply(200, {}, {"x-oauth-scopes": ""})}, "scopes none", "repo and workflow"),
        ({REPO: reply(200, REPOSITORY | {"archived": True})}, "is archived", "another repository"),
        ({REPO: reply(200, REPOSITORY | {"has_issues": False})}, "Issues are off", "Turn them on"),
        (
            {USER: FINE_GRAINED, REPO: reply(200, REPOSITORY | {"permissions": {"push": False}})},
            "not write to it",
            "collaborator",
        ),
    ],
)
def test_the_cause_is_named(answers: dict[str, Answer], sentence: str, advice: str) -> None:
    """One finding, with what to do."""
    [found] = findings(answers)
    assert (found.check, found.state) == ("github", "failed")
    assert sentence in found.sentence
    assert found.advice
    assert advice in found.advice


def test_a_repository_that_was_renamed_is_followed_to_its_new_name() -> None:
    """GitHub redirects reading, and not the dispatch."""
    moved = {
        REPO: (301, {"location": "/repositories/42"}, b""),
        "/repositories/42": reply(200, REPOSITORY | {"full_name": "acme/operations"}),
    }
    [found] = findings(moved)
    assert "has moved to acme/operations" in found.sentence


def test_a_healthy_set_up_is_said_to_be_so() -> None:
    """With the workflow that hears the dispatch; issues need no workflow."""
    assert [(found.check, found.state) for found in findings({})] == [("github", "ok"), ("github_workflow", "ok")]
    issues = findings({}, COGO_GITHUB_DELIVERY="issues")
    assert [(found.check, found.state) for found in issues] == [("github", "ok")]


def test_a_dispatch_that_nobody_hears_is_found() -> None:
    """GitHub would say 204 all the same."""
    _, found = findings({WORKFLOW: NOT_FOUND})
    assert (found.check, found.state) == ("github_workflow", "failed")
    assert "dispatches vanish" in found.sentence


def test_a_used_up_limit_says_nothing() -> None:
    """It is a warning."""
    [found] = findings({REPO: reply(403, {}, {"x-ratelimit-remaining": "0"})})
    assert found.state == "warning"


def test_missing_settings_are_named() -> None:
    """All of them at once."""
    [found] = findings({}, GITHUB_OWNER="", GITHUB_TOKEN="")
    assert "GITHUB_OWNER, GITHUB_TOKEN is not set" in found.sentence
