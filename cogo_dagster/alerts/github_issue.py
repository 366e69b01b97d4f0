"""Renders an alert as a GitHub issue: title, body, labels. One issue per fingerprint; alerts of one message share one.

GitHub's limits are 65,535 characters of payload, 65,536 of body and 50 of a label. Mentions in error messages are
broken, so that the text of an error notifies no one.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from cogo_dagster.alerts.chat_text import QUOTES
from cogo_dagster.alerts.messages import Event, Message
from cogo_dagster.alerts.notice import Entry, Link, Notice, cut, cut_to, fitting, further_links
from cogo_dagster.queue.model import JsonValue

_TITLE: Final = 240
_BODY_BYTES: Final = 48_000
_LINKS: Final = 8_000
_PAYLOAD: Final = 62_000
_MENTION: Final = re.compile(r"(@(?=[\w-])|#(?=\d))")
ALERT_LABEL: Final = "alert"


@dataclass(frozen=True, slots=True)
class Issue:
    """Input of the workflow or of the Issues API.

    Attributes:
        event: `firing` and `repeat` open an issue or comment on the open one; `resolved` comments, removes the label,
            and closes the issue when no alert label is left; `announcement` opens one and closes the previous one.
        labels: One per fingerprint; they identify the issue.
        mark: Comment in the body by which a repeated message is recognized.
    """

    event: Event
    title: str
    body: str
    labels: tuple[str, ...]
    mark: str

    def to_json(self) -> dict[str, JsonValue]:
        """Return the value of `alert` in the workflow's payload."""
        return {
            "event": self.event.value,
            "title": self.title,
            "body": self.body,
            "labels": list(self.labels),
            "mark": self.mark,
        }


def issue(message: Message, content: Notice) -> Issue:
    """Render a message as an issue, or as a comment on one."""
    mark = f"<!-- cogo-message {message.message_id} -->"
    if message.event is Event.ANNOUNCEMENT:
        labels: tuple[str, ...] = (f"announcement:{message.alerts[0].kind}"[:50],)
        facts = "".join(f"- **{name}:** {value}\n" for name, value in content.facts)
        text = _cut(f"{facts}\n{content.markdown}", _BODY_BYTES - _LINKS)
        text = f"{text}\n\n{_links(further_links(content, text)[:20], _LINKS)}"
    else:
        labels = tuple(f"alert:{alert.fingerprint}"[:50] for alert in message.alerts)
        # Each alert of the message will be marked as delivered, so each gets an equal share of the body.
        share = _BODY_BYTES // len(content.entries)
        text = "\n\n".join(_entry(entry, share) for entry in content.entries)
    title = cut(_quiet(content.headline), _TITLE)
    left = _PAYLOAD - sum(_size(part) + 4 for part in (title, *labels, mark, mark))
    return Issue(message.event, title, f"{cut_to(text, left, _size)}\n\n{mark}", labels, mark)


def _entry(entry: Entry, share: int) -> str:
    title, summary = _cut(entry.title, share * 3 // 10), _cut(entry.summary, share // 4)
    left = share // 4
    error = f"\n\n```text\n{_cut(entry.error, left, quiet=False).replace('```', QUOTES)}\n```" if entry.error else ""
    hint = f"\n\n{_cut(entry.hint, share // 8)}" if entry.hint else ""
    return f"**{title}**\n\n{summary}{hint}{error}\n\n{_links(entry.links, left)}".rstrip()


def _cut(text: str, limit: int, *, quiet: bool = True) -> str:
    shown = _quiet(text) if quiet else text
    return cut_to(shown, limit, _size)


def _links(links: tuple[Link, ...], limit: int) -> str:
    """Return as many whole links as fit; a truncated link would be broken."""
    return " · ".join(fitting([f"[{link.title}]({link.url})" for link in links], limit, lambda one: _size(one) + 4))


def _size(part: str) -> int:
    """Return the size of a text within the JSON payload."""
    return len(json.dumps(part)) - 2


def _quiet(text: str) -> str:
    """Break mentions of users and references to issues, so that an error message notifies no one."""
    return _MENTION.sub("\\1\u200b", text)
