"""Google Chat target: incoming webhooks with cards, one thread per fingerprint.

Limits (https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages): 32,000 bytes a message,
4,096 characters of text in some deployments; one message per second for all webhooks of a space.
"""

import html
import json
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from cogo_dagster.alerts.chat_text import chat_text
from cogo_dagster.alerts.messages import TEST_TEXT, Event, Message
from cogo_dagster.alerts.notice import (
    Entry,
    Link,
    Notice,
    cut,
    cut_to,
    fitting,
    further_links,
    notice,
    utf16_units,
)
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_status
from cogo_dagster.alerts.target import digest_of
from cogo_dagster.net.webhooks import Answer, Webhooks
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rates import Rate
from cogo_dagster.settings import Settings
from cogo_dagster.text import load_json

_TEXT: Final = 3_900
_BYTES: Final = 30_000
_PARAGRAPH: Final = 2_500
_ENTRIES: Final = 18_000
_COLORS: Final = {Event.FIRING: "🔴", Event.REPEAT: "🟠", Event.RESOLVED: "🟢", Event.ANNOUNCEMENT: "📋"}


class GoogleChatTarget:
    """A webhook of a space.

    Args:
        address: Returns the URL of the webhook, from the environment or the key vault; called when it is needed.
        settings: For links.
    """

    name = "googlechat"
    rate = Rate("alerts:googlechat", 1, 0.9)

    def __init__(self, address: Callable[[], str], settings: Settings) -> None:
        self._address = address
        self._settings = settings

    @property
    def address_digest(self) -> str:
        """Identifies the webhook."""
        return digest_of(self._address())

    async def send(self, message: Message, webhooks: Webhooks) -> Receipt:
        """Post the message into the thread of its fingerprint."""
        thread = message.alerts[0].fingerprint if len(message.alerts) == 1 else message.message_id.hex
        body = render(message, notice(message, self._settings), thread)
        receipt = await self._post(body, message.message_id.hex, webhooks)
        if receipt.outcome is DeliveryOutcome.DEAD and receipt.status == 400 and "cardsV2" in body:
            plain = {name: value for name, value in body.items() if name != "cardsV2"}
            return await self._post(plain, message.message_id.hex, webhooks)
        return receipt

    async def _post(self, body: dict[str, Json], request_id: str, webhooks: Webhooks) -> Receipt:
        content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        url = _with_query(self._address(), request_id)
        response = await webhooks.send("POST", url, {"Content-Type": "application/json; charset=UTF-8"}, content)
        return read(response)


def read(response: Answer) -> Receipt:
    """Interpret a response: its HTTP status, and Google's error status as the error class."""
    if 200 <= response.status < 300:
        return Receipt.delivered(_field(response.body, "name"))
    status = _field(response.body, "status")
    if response.status in (401, 403, 404):
        message = (
            f"Google Chat responded with {response.status}: the webhook or its space was deleted, or an administrator "
            "has disabled webhooks. Create a new webhook and set GOOGLE_CHAT_WEBHOOK_URL, or "
            "googlechat:notify:webhook_url in the key vault."
        )
        return Receipt(DeliveryOutcome.DEAD, (status or f"http_{response.status}").lower(), message, response.status)
    return from_status(response, "Google Chat", "GOOGLE_CHAT_WEBHOOK_URL")


def render(message: Message, content: Notice, thread: str) -> dict[str, Json]:
    """Return the body of the request, within Chat's limits."""
    if content.event is Event.ANNOUNCEMENT and message.alerts[0].kind == "test":
        return {"text": TEST_TEXT}
    headline = f"{_COLORS[content.event]} {_plain(content.headline)}"
    body: dict[str, Json] = {"thread": {"threadKey": thread}}
    if content.event is Event.ANNOUNCEMENT:
        lines = chat_text(content.markdown, _plain, lambda title, url: f"<{url}|{_plain(title)}>").split("\n")
        body["text"] = "\n".join(fitting([f"*{headline}*", *lines], _TEXT, utf16_units))
    else:
        body["text"] = cut_to(headline, _TEXT, utf16_units)
    card = {"header": {"title": cut(headline, 200)}, "sections": [{"widgets": _widgets(content)}]}
    whole = body | {"cardsV2": [{"cardId": thread[:64], "card": card}]} if content.entries or content.facts else body
    return whole if _bytes(whole) <= _BYTES else body


def _widgets(content: Notice) -> list[Json]:
    buttons = [_button(link) for link in further_links(content, content.markdown)[:8]]
    facts = [
        {"decoratedText": {"topLabel": cut(name, 100), "text": _cut(value, 600)}} for name, value in content.facts[:10]
    ]
    # Each alert of the message will be marked as delivered, so each gets an equal share of the card.
    share = min(_PARAGRAPH, _ENTRIES // max(len(content.entries), 1))
    return [
        *facts,
        *({"textParagraph": {"text": _paragraph(entry, share, content.links)}} for entry in content.entries),
        *([{"buttonList": {"buttons": buttons}}] if buttons else []),
    ]


def _paragraph(entry: Entry, share: int, below: tuple[Link, ...]) -> str:
    title, summary = _cut(entry.title, share * 3 // 10), _cut(entry.summary, share // 4)
    links = " · ".join(
        f'<a href="{html.escape(link.url)}">{html.escape(link.title)}</a>'
        for link in entry.links[:3]
        if link not in below
    )
    left = share - _bytes(title) - _bytes(summary) - 40
    error = f"<br><i>{_cut(entry.error, left)}</i>" if entry.error else ""
    text, left = f"<b>{title}</b><br>{summary}{error}", left - _bytes(error)
    for line in (_cut(entry.hint or "", share // 4), links):
        if line and _bytes(line) + 6 <= left:
            text, left = f"{text}<br>{line}", left - _bytes(line) - 6
    return text


def _cut(text: str, limit: int) -> str:
    return html.escape(cut_to(text, limit, lambda shown: _bytes(html.escape(shown))))


def _bytes(part: Json) -> int:
    return len(json.dumps(part, ensure_ascii=False).encode(errors="replace"))


def _button(link: Link) -> Json:
    return {"text": cut(link.title, 40), "onClick": {"openLink": {"url": link.url}}}


def _plain(text: str) -> str:
    """Replace angle brackets, so that text such as <users/all> is not a mention; Chat has no escape for them."""
    return text.replace("<", "‹").replace(">", "›")


def _with_query(url: str, request_id: str) -> str:
    """Add parameters: reply in the thread, and deduplicate repeated requests."""
    parts = urlsplit(url)
    ours = {"messageReplyOption": "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD", "requestId": request_id}
    parameters = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in ours]
    return urlunsplit(parts._replace(query=urlencode([*parameters, *ours.items()])))


def _field(body: str, name: str) -> str | None:
    """Return a string field of a response, which may be wrapped in `error`."""
    try:
        document = load_json(body)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    inner = document.get("error")
    value = (inner if isinstance(inner, dict) else document).get(name)
    return value if isinstance(value, str) else None
