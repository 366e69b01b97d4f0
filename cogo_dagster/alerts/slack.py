"""Slack: incoming webhooks through slack_sdk, its own retries off, since the outbox retries.

Limits (https://docs.slack.dev/reference/block-kit/blocks): 50 blocks, 3,000 characters a section, 150 a header; all
blocks together some 13,000, which is not documented. Slack counts UTF-16 units. What it rejects as blocks is sent as
plain text: an alert is never lost by its form.
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
    "no_active_hooks": "the webhook was revoked: make a new one and set SLACK_WEBHOOK_URL",
    "no_service": "there is no such webhook: check SLACK_WEBHOOK_URL",
    "no_service_id": "there is no such webhook: check SLACK_WEBHOOK_URL",
    "no_team": "there is no such workspace: check SLACK_WEBHOOK_URL",
    "team_disabled": "the workspace is disabled",
    "invalid_token": "the webhook's address is wrong: check SLACK_WEBHOOK_URL",
    "channel_not_found": "the webhook's channel is gone: make a new webhook",
    "channel_is_archived": "the webhook's channel is archived: make a new webhook",
    "action_prohibited": "an admin has restricted posting: ask them",
    "posting_to_general_channel_denied": "an admin has restricted that channel: ask them",
    "user_not_found": "the webhook's user is gone: make a new webhook",
    "invalid_payload": "it does not take the message",
    "invalid_blocks": "it does not take the message",
    "no_text": "it does not take the message",
    "too_many_attachments": "it does not take the message",
    "msg_blocks_too_long": "it does not take the message: too long",
}


class SlackTarget:
    """One incoming webhook: one channel."""

    name = "slack"
    rate = Rate("alerts:slack", 1, 1)

    def __init__(self, url: str, settings: Settings) -> None:
        self._url = url
        self._settings = settings

    @property
    def address_digest(self) -> str:
        """Tells one webhook from another."""
        return digest_of(self._url)

    async def send(self, message: Message, webhooks: Webhooks) -> Receipt:
        """Post the message, as plain text where Slack does not take its blocks."""
        said = notice(message, self._settings)
        receipt = await self._post(render(said), webhooks)
        if receipt.outcome is DeliveryOutcome.DEAD and receipt.status == 400:
            return await self._post(plain(said), webhooks)
        return receipt

    async def _post(self, body: dict[str, Json], webhooks: Webhooks) -> Receipt:
        with webhooks.session() as session:
            client = _Client(self._url, webhooks.proxy_url(session), webhooks.deadline_seconds)
            call = asyncio.to_thread(client.send_dict, body)
            try:
                # At the deadline the session ends and closes the connection, which ends the thread.
                response = await asyncio.wait_for(call, webhooks.deadline_seconds)
            except SlackRequestError:
                raise PostFailed("invalid_url", "SLACK_WEBHOOK_URL is not a URL: it begins with https://.") from None
            except (URLError, HTTPException, TimeoutError, OSError, ValueError) as error:
                raise webhooks.failure(session, error) from None
            answer = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.body)
            webhooks.check_origin(session, answer.headers)
        return read(answer)


def read(answer: Answer) -> Receipt:
    """Read Slack's answer: the body's word first, since its statuses vary."""
    word = answer.body.strip()[:100]
    if 200 <= answer.status < 300 and word != "ok":
        return Receipt(
            DeliveryOutcome.RETRY, "unexpected_answer", "Slack's address did not answer `ok`.", answer.status
        )
    if word in _PERMANENT:
        return Receipt(DeliveryOutcome.DEAD, word, f"Slack answered {word}: {_PERMANENT[word]}.", answer.status)
    if word in _TRANSIENT:
        return Receipt(DeliveryOutcome.RETRY, word, f"Slack answered {word}: it is tried again.", answer.status)
    return from_status(answer, "Slack", "SLACK_WEBHOOK_URL")


def render(said: Notice) -> dict[str, Json]:
    """Return the body of the request, within Slack's limits."""
    header = cut_to(f"{_SIGNS[said.event]} {said.headline}", _HEADER, utf16_units)
    # Every alert of the message counts as told, so every one has its share of the room.
    share = min(_SECTION, (_WHOLE - _FRAME) // max(len(said.entries), 1))
    sections = (
        [_announcement(said)]
        if said.event is Event.ANNOUNCEMENT
        else [_entry(e, share, said.links) for e in said.entries]
    )
    if links := further_links(said, "\n".join(sections)):
        sections.append("\n".join(fitting([_link(link) for link in links[:10]], _FRAME - _HEADER, utf16_units)))
    shown = [text for text in sections if text][:45]
    blocks: list[Json] = [{"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}]
    blocks += [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in shown]
    return {"text": _cut(said.headline, 1_000), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def plain(said: Notice) -> dict[str, Json]:
    """Return the body of the request without blocks: the words alone."""
    entries = [line for entry in said.entries for line in (entry.title, entry.sentence, entry.error or "")]
    facts = [f"{name}: {value}" for name, value in said.facts] if said.event is Event.ANNOUNCEMENT else []
    lines = [*entries, *facts, *said.markdown.split("\n"), *(link.url for link in said.links)]
    text = "\n".join(line for line in lines if line)
    return {"text": _cut(f"{_SIGNS[said.event]} {said.headline}\n{text}", _SECTION), "unfurl_links": False}


def escape(text: str) -> str:
    """Take the meaning from what Slack would read as mentions, links and entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _entry(entry: Entry, share: int, below: tuple[Link, ...]) -> str:
    """Return one alert; links that stand below all of them are left out."""
    title = f"*{_cut(entry.title, share * 3 // 10)}*"
    sentence = _cut(entry.sentence, share // 4)
    links = " · ".join(_link(link) for link in entry.links[:3] if link not in below)
    left = share - utf16_units(title) - utf16_units(sentence) - 12
    error = f"```{_cut(entry.error, min(left, 1_000)).replace('```', QUOTES)}```" if entry.error else ""
    lines = [title, sentence, error]
    if utf16_units(links) <= left - utf16_units(error):
        lines.append(links)
    return "\n".join(line for line in lines if line)


def _cut(text: str, limit: int) -> str:
    return escape(cut_to(text, limit, lambda shown: utf16_units(escape(shown))))


def _announcement(said: Notice) -> str:
    facts = [f"*{_cut(name, 100)}:* {_cut(value, 300)}" for name, value in said.facts[:20]]
    text = chat_text(said.markdown, escape, lambda title, url: _link(Link(title, url)))
    return "\n".join(fitting([*facts, *text.split("\n")], _SECTION, utf16_units))


def _link(link: Link) -> str:
    return f"<{escape(link.url).replace('|', '%7C')}|{escape(link.title).replace('|', '/')}>"


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Let the redirect be the answer."""


class _Client(WebhookClient):
    """slack_sdk's client through our proxy: no redirects, a limited answer, and a logger that keeps the address."""

    def __init__(self, url: str, proxy: str, timeout_seconds: float) -> None:
        silent = logging.Logger("cogo.slack", logging.CRITICAL)  # noqa: LOG001 - at DEBUG the SDK writes the address
        super().__init__(url, timeout=max(int(timeout_seconds), 1), proxy=proxy, retry_handlers=[], logger=silent)

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        if not url.lower().startswith("http"):
            raise SlackRequestError("Invalid URL")
        proxies = ProxyHandler({"http": str(self.proxy), "https": str(self.proxy)})
        opener = build_opener(proxies, HTTPSHandler(context=self.ssl), _NoRedirect())
        with opener.open(req, timeout=self.timeout) as response:
            body = response.read(MAX_RESPONSE_BYTES).decode(errors="replace")
            return WebhookResponse(url=url, status_code=response.status, body=body, headers=dict(response.headers))
