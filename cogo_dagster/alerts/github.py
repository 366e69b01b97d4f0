"""GitHub target: sends a repository_dispatch event to the workflow alert-issues.yml, or uses the Issues API."""

import json
from typing import Final, Literal
from urllib.parse import quote

from cogo_dagster.alerts.github_issue import ALERT_LABEL, Issue, issue
from cogo_dagster.alerts.messages import Event, Message
from cogo_dagster.alerts.notice import notice
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_status
from cogo_dagster.alerts.target import digest_of
from cogo_dagster.net.webhooks import Answer, Webhooks
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rates import Rate
from cogo_dagster.queue.retry_after import retry_after_seconds
from cogo_dagster.settings import Settings
from cogo_dagster.text import load_json

EVENT_TYPE: Final = "cogo-alert"
_VERSION: Final = "2022-11-28"
_SECONDARY_WAIT_SECONDS: Final = 60.0


class GitHubError(Exception):
    """A response other than success."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(receipt.message)
        self.receipt = receipt


class GitHubTarget:
    """A repository."""

    name = "github"

    def __init__(
        self, owner: str, repo: str, token: str, delivery: Literal["dispatch", "issues"], settings: Settings
    ) -> None:
        self._repository = f"{owner}/{repo}"
        self._base = f"{settings.github_api_url.rstrip('/')}/repos/{quote(owner)}/{quote(repo)}"
        self._token = token
        self._delivery = delivery
        self._settings = settings
        # GitHub recommends one second between writes; updating an issue takes three.
        self.rate = Rate("alerts:github", 1, 1 if delivery == "dispatch" else 0.3)

    @property
    def address_digest(self) -> str:
        """Identifies the repository, token and mode of delivery."""
        return digest_of(self._base, self._token, self._delivery)

    async def send(self, message: Message, webhooks: Webhooks) -> Receipt:
        """Send a message as a repository_dispatch event or as an issue."""
        wanted = issue(message, notice(message, self._settings))
        try:
            if self._delivery == "dispatch":
                payload = {"event_type": EVENT_TYPE, "client_payload": {"alert": wanted.to_json()}}
                await self._call(webhooks, "POST", "/dispatches", payload)
                return Receipt.delivered()
            return Receipt.delivered(await self._upsert(webhooks, wanted))
        except GitHubError as error:
            return error.receipt

    async def _upsert(self, webhooks: Webhooks, wanted: Issue) -> str | None:
        open_issues = await self._open_issues(webhooks, wanted.labels[0])
        if wanted.event is Event.ANNOUNCEMENT:
            return await self._announce(webhooks, wanted, open_issues)
        if wanted.event is Event.RESOLVED:
            return await self._resolve(webhooks, wanted)
        if not open_issues:
            return await self._create(webhooks, wanted, [ALERT_LABEL, *wanted.labels])
        if not await self._has(webhooks, open_issues[0], wanted.mark):
            await self._comment(webhooks, open_issues[0]["number"], wanted.body)
        if len(wanted.labels) > 1:
            await self._call(
                webhooks, "POST", f"/issues/{open_issues[0]['number']}/labels", {"labels": list(wanted.labels)}
            )
        return f"#{open_issues[0]['number']}"

    async def _announce(self, webhooks: Webhooks, wanted: Issue, open_issues: list[Json]) -> str | None:
        if any(wanted.mark in (existing["body"] or "") for existing in open_issues):
            return f"#{open_issues[0]['number']}"
        created = await self._create(webhooks, wanted, list(wanted.labels))
        for existing in open_issues:
            await self._close(webhooks, existing["number"])
        return created

    async def _resolve(self, webhooks: Webhooks, wanted: Issue) -> str | None:
        reference = None
        for label in wanted.labels:
            for existing in await self._open_issues(webhooks, label):
                number = existing["number"]
                reference = f"#{number}"
                alert_labels = {entry["name"] for entry in existing["labels"] if entry["name"].startswith("alert:")}
                if not await self._has(webhooks, existing, wanted.mark):
                    await self._comment(webhooks, number, wanted.body)
                if alert_labels <= set(wanted.labels):
                    await self._close(webhooks, number)
                else:
                    await self._call(webhooks, "DELETE", f"/issues/{number}/labels/{quote(label, safe='')}", None)
        return reference

    async def _open_issues(self, webhooks: Webhooks, label: str) -> list[Json]:
        issues = await self._call(
            webhooks, "GET", f"/issues?state=open&labels={quote(label, safe='')}&per_page=5", None
        )
        return [existing for existing in issues if "pull_request" not in existing]

    async def _has(self, webhooks: Webhooks, existing: Json, mark: str) -> bool:
        """Whether the issue or one of its latest comments contains the mark of this message."""
        if mark in (existing["body"] or ""):
            return True
        page = max(1, -(-existing.get("comments", 0) // 100))
        number = existing["number"]
        comments = await self._call(webhooks, "GET", f"/issues/{number}/comments?per_page=100&page={page}", None)
        return any(mark in (comment["body"] or "") for comment in comments)

    async def _create(self, webhooks: Webhooks, wanted: Issue, labels: list[str]) -> str:
        body = {"title": wanted.title, "body": wanted.body, "labels": labels}
        created = await self._call(webhooks, "POST", "/issues", body)
        return f"#{created['number']}"

    async def _comment(self, webhooks: Webhooks, number: int, body: str) -> None:
        await self._call(webhooks, "POST", f"/issues/{number}/comments", {"body": body})

    async def _close(self, webhooks: Webhooks, number: int) -> None:
        await self._call(webhooks, "PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "completed"})

    async def _call(self, webhooks: Webhooks, method: str, path: str, body: Json) -> Json:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "X-GitHub-Api-Version": _VERSION,
            "User-Agent": "cogo-dagster",
            **({"Content-Type": "application/json"} if body is not None else {}),
        }
        content = json.dumps(body).encode() if body is not None else None
        response = await webhooks.send(method, f"{self._base}{path}", headers, content)
        receipt = read(response, self._repository)
        if receipt.outcome is not DeliveryOutcome.DELIVERED:
            raise GitHubError(receipt)
        try:
            return load_json(response.body) if response.body.strip() else None
        except ValueError:
            raise GitHubError(
                Receipt(DeliveryOutcome.RETRY, "unexpected_answer", "GitHub did not respond with JSON.")
            ) from None


def read(response: Answer, repository: str) -> Receipt:
    """Interpret a response. GitHub rate-limits with 403 or 429, and responds 404 to a token without access."""
    headers, status = response.headers, response.status
    limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    if status == 429 or (status == 403 and (limited or "secondary rate limit" in response.body)):
        wait = retry_after_seconds(headers) or _SECONDARY_WAIT_SECONDS
        return Receipt(DeliveryOutcome.RETRY, "rate_limited", "GitHub limits the request rate; retrying.", status, wait)
    if status in (401, 403, 404):
        return Receipt(DeliveryOutcome.DEAD, f"http_{status}", _access_error(response, repository), status)
    return from_status(response, "GitHub", "GITHUB_OWNER and GITHUB_REPO")


def _access_error(response: Answer, repository: str) -> str:
    if response.status == 401:
        return "GitHub responded with 401: GITHUB_TOKEN is wrong, expired or revoked; set a new one."
    if "x-github-sso" in response.headers:
        return (
            f"GitHub responded with {response.status}: authorise GITHUB_TOKEN for the organisation's SSO "
            "(token settings, Configure SSO)."
        )
    if response.status == 403:
        needed = response.headers.get(
            "x-accepted-github-permissions", "contents=write (dispatch) or issues=write (issues)"
        )
        return f"GitHub responded with 403 for {repository}: GITHUB_TOKEN lacks a permission; it needs {needed[:100]}."
    return (
        f"GitHub responded with 404 for {repository}: GITHUB_OWNER or GITHUB_REPO is wrong, the token has no access to "
        "the repository, or it is not authorised for the organisation's SSO. A classic token with `repo` and "
        "`workflow`, of a collaborator with the role Admin, works."
    )
