"""Find out why GitHub rejects alerts: the token, single sign-on, the owner or the repository.

GitHub responds with 404 in all these cases, so as not to reveal private repositories. Therefore each is checked with a
separate request. No dispatch is sent, because a successful one would raise an alert.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cogo_dagster.doctor.findings import Finding, failed, ok, warning
from cogo_dagster.net.client import Fetched
from cogo_dagster.net.guarded import RequestFailed
from cogo_dagster.text import load_json

HEADERS: Final = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
    "user-agent": "cogo-dagster doctor",
}
WORKFLOW: Final = "alert-issues.yml"
_CHECK: Final = "github"


@dataclass(frozen=True, slots=True)
class GitHubAccess:
    """Repository of the settings, and access to the API of GitHub.

    Attributes:
        delivery: `dispatch` or `issues`.
        get: Requests a path of the API, such as `/user`, with the token.
    """

    owner: str
    repo: str
    delivery: str
    get: Callable[[str], Fetched]

    @property
    def repository(self) -> str:
        """Return `owner/repo`."""
        return f"{self.owner}/{self.repo}"


def check_github(target: GitHubAccess) -> Iterator[Finding]:
    """Check whether alerts can be delivered to the repository."""
    try:
        user = target.get("/user")
        if user.status == 401:
            yield failed(_CHECK, "GitHub rejects the token.", "Replace GITHUB_TOKEN: it is wrong or expired.")
            return
        repository = target.get(f"/repos/{target.owner}/{target.repo}")
        if repository.status != 200:
            yield _inaccessible(target, user, repository)
            return
        yield from _accessible(target, user, _body(repository))
    except RequestFailed as error:
        yield failed(_CHECK, f"GitHub does not respond: {error}", "Check the network, and GITHUB_API_URL if it is set.")


def _inaccessible(target: GitHubAccess, user: Fetched, repository: Fetched) -> Finding:
    """Return why a valid token cannot read the repository."""
    sso = repository.headers.get("x-github-sso", "")
    if sso.startswith("required"):
        where = sso.partition("url=")[2]
        return failed(
            _CHECK,
            f"The organization {target.owner} requires the token to be authorized for single sign-on.",
            f"Authorize it at {where.partition('?')[0]}."
            if where
            else "Authorize it in the token's settings (Configure SSO).",
        )
    if repository.status in (403, 429) and repository.headers.get("x-ratelimit-remaining") == "0":
        return warning(
            _CHECK, "The rate limit of GitHub is exhausted, so access could not be checked.", "Retry in an hour."
        )
    if repository.status == 403:
        return failed(
            _CHECK,
            f"The token may not read {target.repository}.",
            f"Grant it access to the repository; a fine-grained token needs Metadata: read and {_permission(target)}.",
        )
    if target.get(f"/users/{target.owner}").status == 404:
        return failed(_CHECK, f"The owner {target.owner} does not exist on GitHub.", "Correct GITHUB_OWNER.")
    login = _body(user).get("login") if user.status == 200 else None
    token = f"the token of {login}" if login else "the token"
    scopes = user.headers.get("x-oauth-scopes")
    if scopes is not None and "repo" not in _split(scopes):
        return failed(
            _CHECK,
            f"There is no public repository {target.repository}, and {token} has no scope for private ones.",
            "Correct GITHUB_REPO, or create a classic token with the scopes repo and workflow.",
        )
    return failed(
        _CHECK,
        f"The owner {target.owner} exists, but {token} cannot access the repository {target.repo}.",
        "Correct GITHUB_REPO, or add the owner of the token as a collaborator; select the repository in the settings "
        "of a fine-grained token, or authorize a classic token for single sign-on of the organization.",
    )


def _accessible(target: GitHubAccess, user: Fetched, repository: Mapping[str, Any]) -> Iterator[Finding]:
    name = str(repository.get("full_name", target.repository))
    if name.lower() != target.repository.lower():
        owner, _, repo = name.partition("/")
        yield failed(
            _CHECK,
            f"{target.repository} has moved to {name}, and dispatches are not redirected.",
            f"Set GITHUB_OWNER={owner} and GITHUB_REPO={repo}.",
        )
        return
    problem = _forbidden(target, user, repository)
    if problem is not None:
        yield problem
        return
    yield ok(_CHECK, f"The token has write access to {name}.")
    if target.delivery == "dispatch":
        yield _workflow(target, str(repository.get("default_branch", "main")))


def _forbidden(target: GitHubAccess, user: Fetched, repository: Mapping[str, Any]) -> Finding | None:
    """Return why alerts cannot be delivered to a readable repository; None if they can."""
    scopes, allowed = user.headers.get("x-oauth-scopes"), repository.get("permissions") or {}
    wanted = {"repo"} if repository.get("private") else {"repo", "public_repo"}
    if scopes is not None and not wanted & set(_split(scopes)):
        return failed(_CHECK, f"The classic token has the scopes {scopes or 'none'}.", "It needs repo and workflow.")
    if repository.get("archived"):
        return failed(_CHECK, f"{target.repository} is archived.", "Use another repository, or unarchive it.")
    if repository.get("has_issues") is False:
        return failed(_CHECK, f"Issues are disabled in {target.repository}.", "Enable them in its settings.")
    if not allowed.get("push", True) and target.delivery == "dispatch":
        return failed(
            _CHECK,
            f"The token has no write access to {target.repository}.",
            f"Give the owner of the token write access; a fine-grained token needs {_permission(target)}.",
        )
    return None


def _workflow(target: GitHubAccess, branch: str) -> Finding:
    """Check that a workflow handles dispatches, which GitHub accepts with 204 even without one."""
    check = "github_workflow"
    response = target.get(f"/repos/{target.owner}/{target.repo}/contents/.github/workflows/{WORKFLOW}?ref={branch}")
    if response.status == 200:
        return ok(check, f"{WORKFLOW} is on the default branch {branch}.")
    if response.status == 404:
        return failed(
            check,
            f"{WORKFLOW} is not on the default branch {branch}: dispatches have no effect.",
            f"Commit .github/workflows/{WORKFLOW} there, or set COGO_GITHUB_DELIVERY=issues.",
        )
    return warning(
        check, f"Could not check whether {WORKFLOW} exists (status {response.status}).", "Check it on GitHub."
    )


def _permission(target: GitHubAccess) -> str:
    return "Contents: write" if target.delivery == "dispatch" else "Issues: write"


def _split(scopes: str) -> list[str]:
    return [scope.strip() for scope in scopes.split(",") if scope.strip()]


def _body(response: Fetched) -> Mapping[str, Any]:
    try:
        body = load_json(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
