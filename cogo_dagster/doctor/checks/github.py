"""Why GitHub refuses alerts: which of token, single sign-on, owner or repository is wrong.

GitHub answers 404 to all of them, so that nobody learns which private repositories there are; here each is asked for
by itself. Nothing is sent: a dispatch that goes through would raise an alert.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cogo_dagster.doctor.findings import Finding, failed, ok, warning
from cogo_dagster.net.client import Fetched
from cogo_dagster.net.guarded import NoAnswer

HEADERS: Final = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
    "user-agent": "cogo-dagster doctor",
}
WORKFLOW: Final = "alert-issues.yml"
_CHECK: Final = "github"


@dataclass(frozen=True, slots=True)
class GitHubAccess:
    """What the settings say.

    Attributes:
        delivery: `dispatch` or `issues`.
        get: From a path, `/user`, to GitHub's answer with our token.
    """

    owner: str
    repo: str
    delivery: str
    get: Callable[[str], Fetched]

    @property
    def repository(self) -> str:
        """As people write it."""
        return f"{self.owner}/{self.repo}"


def check_github(target: GitHubAccess) -> Iterator[Finding]:
    """Say what keeps alerts from reaching the repository, or that nothing does."""
    try:
        user = target.get("/user")
        if user.status == 401:
            yield failed(_CHECK, "GitHub does not know the token.", "Set GITHUB_TOKEN anew: it is wrong or expired.")
            return
        repository = target.get(f"/repos/{target.owner}/{target.repo}")
        if repository.status != 200:
            yield _unseen(target, user, repository)
            return
        yield from _seen(target, user, _body(repository))
    except NoAnswer as error:
        yield failed(_CHECK, f"GitHub does not answer: {error}", "Check the network, and GITHUB_API_URL if it is set.")


def _unseen(target: GitHubAccess, user: Fetched, repository: Fetched) -> Finding:
    """The token is good, and the repository is not to be seen."""
    sso = repository.headers.get("x-github-sso", "")
    if sso.startswith("required"):
        where = sso.partition("url=")[2]
        return failed(
            _CHECK,
            f"The organization {target.owner} wants the token authorized for single sign-on.",
            f"Authorize it at {where.partition('?')[0]}."
            if where
            else "Authorize it in the token's settings (Configure SSO).",
        )
    if repository.status in (403, 429) and repository.headers.get("x-ratelimit-remaining") == "0":
        return warning(_CHECK, "GitHub's rate limit is used up, so nothing can be said.", "Ask again in an hour.")
    if repository.status == 403:
        return failed(
            _CHECK,
            f"The token may not see {target.repository}.",
            f"Give it access to the repository; a fine-grained one needs Metadata: read besides {_permission(target)}.",
        )
    if target.get(f"/users/{target.owner}").status == 404:
        return failed(_CHECK, f"There is no {target.owner} on GitHub.", "Correct GITHUB_OWNER.")
    login = _body(user).get("login") if user.status == 200 else None
    who = f"the token of {login}" if login else "the token"
    scopes = user.headers.get("x-oauth-scopes")
    if scopes is not None and "repo" not in _words(scopes):
        return failed(
            _CHECK,
            f"There is no public repository {target.repository}, and {who} has no scope to see private ones.",
            "Correct GITHUB_REPO, or make a classic token with the scopes repo and workflow.",
        )
    return failed(
        _CHECK,
        f"The owner {target.owner} exists, but {who} sees no repository {target.repo} there.",
        "Correct GITHUB_REPO; or make the token's owner a collaborator; or, for a fine-grained token, select the "
        "repository in its settings; or authorize a classic one for the organization's single sign-on.",
    )


def _seen(target: GitHubAccess, user: Fetched, repository: Mapping[str, Any]) -> Iterator[Finding]:
    name = str(repository.get("full_name", target.repository))
    if name.lower() != target.repository.lower():
        owner, _, repo = name.partition("/")
        yield failed(
            _CHECK,
            f"{target.repository} has moved to {name}, and a dispatch is not redirected.",
            f"Set GITHUB_OWNER={owner} and GITHUB_REPO={repo}.",
        )
        return
    problem = _forbidden(target, user, repository)
    if problem is not None:
        yield problem
        return
    yield ok(_CHECK, f"The token reaches {name} and may write to it.")
    if target.delivery == "dispatch":
        yield _workflow(target, str(repository.get("default_branch", "main")))


def _forbidden(target: GitHubAccess, user: Fetched, repository: Mapping[str, Any]) -> Finding | None:
    """The repository is there, and alerts cannot get in."""
    scopes, allowed = user.headers.get("x-oauth-scopes"), repository.get("permissions") or {}
    wanted = {"repo"} if repository.get("private") else {"repo", "public_repo"}
    if scopes is not None and not wanted & set(_words(scopes)):
        return failed(_CHECK, f"The classic token has the scopes {scopes or 'none'}.", "It needs repo and workflow.")
    if repository.get("archived"):
        return failed(_CHECK, f"{target.repository} is archived.", "Name another repository, or bring it back.")
    if repository.get("has_issues") is False:
        return failed(_CHECK, f"Issues are off in {target.repository}.", "Turn them on in its settings.")
    if not allowed.get("push", True) and target.delivery == "dispatch":
        return failed(
            _CHECK,
            f"The token may read {target.repository} and not write to it.",
            f"Make its owner a collaborator who may write; a fine-grained token needs {_permission(target)}.",
        )
    return None


def _workflow(target: GitHubAccess, branch: str) -> Finding:
    """A dispatch is accepted with 204 also where no workflow listens."""
    check = "github_workflow"
    answer = target.get(f"/repos/{target.owner}/{target.repo}/contents/.github/workflows/{WORKFLOW}?ref={branch}")
    if answer.status == 200:
        return ok(check, f"{WORKFLOW} is on the branch {branch}, where dispatches are heard.")
    if answer.status == 404:
        return failed(
            check,
            f"{WORKFLOW} is not on the default branch {branch}: dispatches vanish.",
            f"Commit .github/workflows/{WORKFLOW} there, or set COGO_GITHUB_DELIVERY=issues.",
        )
    return warning(check, f"GitHub does not say whether {WORKFLOW} is there ({answer.status}).", "Look yourself.")


def _permission(target: GitHubAccess) -> str:
    return "Contents: write" if target.delivery == "dispatch" else "Issues: write"


def _words(scopes: str) -> list[str]:
    return [word.strip() for word in scopes.split(",") if word.strip()]


def _body(answer: Fetched) -> Mapping[str, Any]:
    try:
        body = json.loads(answer.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
