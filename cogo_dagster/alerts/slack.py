"""Slack target: incoming webhooks with slack_sdk. The SDK's retries are off; the outbox retries.

Limits (https://docs.slack.dev/reference/block-kit/blocks): 50 blocks, 3,000 characters per section, 150 per header;
about 13,000 for all blocks together, which is undocumented. Slack counts UTF-16 code units. If Slack rejects the
blocks, the message is sent as plain text, so that no alert is lost because of its format.
"""

import asyncio
import logging
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from slack_sdk.errors import SlackRequestError
from slack_sdk.webhook import WebhookClient, WebhookResponse

from cogo_dagster.alerts.chat_text import QUOTES, chat_text
from cogo_dagster.alerts.messages import Event, Message
from cogo_dagster.alerts.notice import Entry, Link, Notice, cut_to, fitting, further_links, notice, utf16_units
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_status
from cogo_dagster.alerts.target import digest_of
from cogo_dagster.net.webhooks import MAX_RESPONSE_BYTES, Answer, PostFailed, Webhooks
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rates import Rate
from cogo_dagster.settings import Settings

_HEADER: Final = 150
_SECTION: Final = 2_900
_WHOLE: Final = 12_000
_FRAME: Final = 800
_SIGNS: Final = {Event.FIRING: "🔴", Event.REPEAT: "🟠", Event.RESOLVED: "🟢", Event.ANNOUNCEMENT: "📋"}
_TRANSIENT: Final = frozenset({"rollup_error"})
_PERMANENT: Final = {
    "no_active_hooks": "the webhook was revoked; create a new one and set SLACK_WEBHOOK_URL",
    "no_service": "the webhook does not exist; check SLACK_WEBHOOK_URL",
    "no_service_id": "the webhook does not exist; check SLACK_WEBHOOK_URL",
    "no_team": "the workspace does not exist; check SLACK_WEBHOOK_URL",
    "team_disabled": "the workspace is disabled",
    "invalid_token": "the webhook's URL is wrong; check SLACK_WEBHOOK_URL",
    "channel_not_found": "the webhook's channel was deleted; create a new webhook",
    "channel_is_archived": "the webhook's channel is archived; create a new webhook",
    "action_prohibited": "an administrator has restricted posting; ask for permission",
    "posting_to_general_channel_denied": "an administrator has restricted the channel; ask for permission",
    "user_not_found": "the webhook's user was deleted; create a new webhook",
    "invalid_payload": "the message is invalid",
    "invalid_blocks": "the message is invalid",
    "no_text": "the message is invalid",
    "too_many_attachments": "the message is invalid",
    "msg_blocks_too_long": "the message is too long",
}


class SlackTarget:
    """An incoming webhook, which posts to one channel."""

    name = "slack"
    rate = Rate("alerts:slack", 1, 1)

    def __init__(self, url: str, settings: Settings) -> None:
        self._url = url
        self._settings = settings

    @property
    def address_digest(self) -> str:
        """Identifies the webhook."""
        return digest_of(self._url)

    async def send(self, message: Message, webhooks: Webhooks) -> Receipt:
        """Post a message; as plain text if Slack rejects its blocks."""
        content = notice(message, self._settings)
        receipt = await self._post(render(content), webhooks)
        if receipt.outcome is DeliveryOutcome.DEAD and receipt.status == 400:
            return await self._post(plain(content), webhooks)
        return receipt

    async def _post(self, body: dict[str, Json], webhooks: Webhooks) -> Receipt:
        with webhooks.session() as session:
            client = _Client(self._url, webhooks.proxy_url(session), webhooks.deadline_seconds)
            call = asyncio.to_thread(client.send_dict, body)
            try:
                # At the deadline the session closes the connection, which ends the thread.
                response = await asyncio.wait_for(call, webhooks.deadline_seconds)
            except SlackRequestError:
                raise PostFailed(
                    "invalid_url", "SLACK_WEBHOOK_URL is not a URL: it must start with https://."
                ) from None
            except (URLError, HTTPException, TimeoutError, OSError, ValueError) as error:
                raise webhooks.failure(session, error) from None
            answer = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.body)
            webhooks.check_origin(session, answer.headers)
        return read(answer)


def read(response: Answer) -> Receipt:
    """Interpret a response: by the error code in its body, since Slack's statuses vary, else by status."""
    code = response.body.strip()[:100]
    if 200 <= response.status < 300 and code != "ok":
        return Receipt(DeliveryOutcome.RETRY, "unexpected_answer", "Slack did not respond with `ok`.", response.status)
    if code in _PERMANENT:
        return Receipt(DeliveryOutcome.DEAD, code, f"Slack responded with {code}: {_PERMANENT[code]}.", response.status)
    if code in _TRANSIENT:
        return Receipt(DeliveryOutcome.RETRY, code, f"Slack responded with {code}; retrying.", response.status)
    return from_status(response, "Slack", "SLACK_WEBHOOK_URL")


def render(content: Notice) -> dict[str, Json]:
    """Return the body of the request, within Slack's limits."""
    header = cut_to(f"{_SIGNS[content.event]} {content.headline}", _HEADER, utf16_units)
    # Each alert of the message will be marked as delivered, so each gets an equal share of the blocks.
    share = min(_SECTION, (_WHOLE - _FRAME) // max(len(content.entries), 1))
    sections = (
        [_announcement(content)]
        if content.event is Event.ANNOUNCEMENT
        else [_entry(e, share, content.links) for e in content.entries]
    )
    if links := further_links(content, "\n".join(sections)):
        sections.append("\n".join(fitting([_link(link) for link in links[:10]], _FRAME - _HEADER, utf16_units)))
    shown = [text for text in sections if text][:45]
    blocks: list[Json] = [{"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}]
    blocks += [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in shown]
    return {"text": _cut(content.headline, 1_000), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def plain(content: Notice) -> dict[str, Json]:
    """Return the body of the request as plain text, without blocks."""
    entries = [
        line for entry in content.entries for line in (entry.title, entry.summary, entry.hint or "", entry.error or "")
    ]
    facts = [f"{name}: {value}" for name, value in content.facts] if content.event is Event.ANNOUNCEMENT else []
    lines = [*entries, *facts, *content.markdown.split("\n"), *(link.url for link in content.links)]
    text = "\n".join(line for line in lines if line)
    return {"text": _cut(f"{_SIGNS[content.event]} {content.headline}\n{text}", _SECTION), "unfurl_links": False}


def escape(text: str) -> str:
    """Escape Slack's control characters, so that text contains no mentions, links or entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _entry(entry: Entry, share: int, below: tuple[Link, ...]) -> str:
    """Render an alert, without the links that follow all alerts."""
    title = f"*{_cut(entry.title, share * 3 // 10)}*"
    summary = _cut(entry.summary, share // 4)
    links = " · ".join(_link(link) for link in entry.links[:3] if link not in below)
    left = share - utf16_units(title) - utf16_units(summary) - 12
    error = f"```{_cut(entry.error, min(left, 1_000)).replace('```', QUOTES)}```" if entry.error else ""
    hint = _cut(entry.hint or "", share // 4)
    left -= utf16_units(error)
    lines = [title, summary, error]
    for line in (hint, links):
        if utf16_units(line) < left:
            lines.append(line)
            left -= utf16_units(line) + 1
    return "\n".join(line for line in lines if line)


def _cut(text: str, limit: int) -> str:
    return escape(cut_to(text, limit, lambda shown: utf16_units(escape(shown))))


def _announcement(content: Notice) -> str:
    facts = [f"*{_cut(name, 100)}:* {_cut(value, 300)}" for name, value in content.facts[:20]]
    text = chat_text(content.markdown, escape, lambda title, url: _link(Link(title, url)))
    return "\n".join(fitting([*facts, *text.split("\n")], _SECTION, utf16_units))


def _link(link: Link) -> str:
    return f"<{escape(link.url).replace('|', '%7C')}|{escape(link.title).replace('|', '/')}>"


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return the redirect itself as the response."""


class _Client(WebhookClient):
    """slack_sdk's client through the project's proxy: no redirects, a limited body, and no log of the URL."""

    def __init__(self, url: str, proxy: str, timeout_seconds: float) -> None:
        silent = logging.Logger("cogo.slack", logging.CRITICAL)  # noqa: LOG001 - at DEBUG the SDK logs the URL
        super().__init__(url, timeout=max(int(timeout_seconds), 1), proxy=proxy, retry_handlers=[], logger=silent)

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        if not url.lower().startswith("http"):
            raise SlackRequestError("Invalid URL")
        proxies = ProxyHandler({"http": str(self.proxy), "https": str(self.proxy)})
        opener = build_opener(proxies, HTTPSHandler(context=self.ssl), _NoRedirect())
        with opener.open(req, timeout=self.timeout) as response:
            body = response.read(MAX_RESPONSE_BYTES).decode(errors="replace")
            return WebhookResponse(url=url, status_code=response.status, body=body, headers=dict(response.headers))
