"""An alert as a GitHub issue: title, body, labels. One issue per fingerprint; a storm shares one.

GitHub takes 65,535 characters of payload, 65,536 of body and 50 of a label. What comes from errors is put where it
mentions nobody.
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
    """What the workflow or the Issues API is to do.

    Attributes:
        event: `firing` and `repeat` open an issue or comment on the open one; `resolved` comments, takes the label
            away and closes it once it has no such label left; `announcement` opens one and closes the one before.
        labels: One per fingerprint, by which the issue is found again.
        mark: Stands in the body, so that a message that arrives twice is written once.
    """

    event: Event
    title: str
    body: str
    labels: tuple[str, ...]
    mark: str

    def to_json(self) -> dict[str, JsonValue]:
        """Return the one property of the workflow's payload."""
        return {
            "event": self.event.value,
            "title": self.title,
            "body": self.body,
            "labels": list(self.labels),
            "mark": self.mark,
        }


def issue(message: Message, said: Notice) -> Issue:
    """Say a message as an issue or a comment on it."""
    mark = f"<!-- cogo-message {message.message_id} -->"
    if message.event is Event.ANNOUNCEMENT:
        labels: tuple[str, ...] = (f"announcement:{message.alerts[0].kind}"[:50],)
        facts = "".join(f"- **{name}:** {value}\n" for name, value in said.facts)
        text = _cut(f"{facts}\n{said.markdown}", _BODY_BYTES - _LINKS)
        text = f"{text}\n\n{_links(further_links(said, text)[:20], _LINKS)}"
    else:
        labels = tuple(f"alert:{alert.fingerprint}"[:50] for alert in message.alerts)
        # Every alert of the message counts as told, so every one has its share of the room.
        share = _BODY_BYTES // len(said.entries)
        text = "\n\n".join(_entry(entry, share) for entry in said.entries)
    title = cut(_quiet(said.headline), _TITLE)
    left = _PAYLOAD - sum(_size(part) + 4 for part in (title, *labels, mark, mark))
    return Issue(message.event, title, f"{cut_to(text, left, _size)}\n\n{mark}", labels, mark)


def _entry(entry: Entry, share: int) -> str:
    title, sentence = _cut(entry.title, share * 3 // 10), _cut(entry.sentence, share // 4)
    left = share // 4
    error = f"\n\n```text\n{_cut(entry.error, left, quiet=False).replace('```', QUOTES)}\n```" if entry.error else ""
    return f"**{title}**\n\n{sentence}{error}\n\n{_links(entry.links, left)}".rstrip()


def _cut(text: str, limit: int, *, quiet: bool = True) -> str:
    shown = _quiet(text) if quiet else text
    return cut_to(shown, limit, _size)


def _links(links: tuple[Link, ...], limit: int) -> str:
    """Return the first links that fit; a link that is cut leads nowhere."""
    return " · ".join(fitting([f"[{link.title}]({link.url})" for link in links], limit, lambda one: _size(one) + 4))


def _size(part: str) -> int:
    """Return how many characters text has inside the payload, which is JSON."""
    return len(json.dumps(part)) - 2


def _quiet(text: str) -> str:
    """Break mentions of people and of other issues: nobody is to be called by the text of an error."""
    return _MENTION.sub("\\1\u200b", text)
