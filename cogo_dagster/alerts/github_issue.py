"""An alert as a GitHub issue: title, body, labels. One issue per fingerprint; a storm shares one.

GitHub takes 65,536 characters of body and 50 of a label. What comes from errors is put where it mentions nobody.
"""

import json
from dataclasses import dataclass
from typing import Final

from cogo_dagster.alerts.model import Event, Message
from cogo_dagster.alerts.notice import Entry, Link, Notice, cut, cut_to
from cogo_dagster.queue.model import Json

_TITLE: Final = 240
_QUOTES: Final = "'''"
_BODY_BYTES: Final = 48_000
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

    def to_json(self) -> dict[str, Json]:
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
        text = _cut(f"{facts}\n{said.markdown}", _BODY_BYTES - 8_000) + f"\n\n{_links(said.links[:20])}"
    else:
        labels = tuple(f"alert:{alert.fingerprint}"[:50] for alert in message.alerts)
        # Every alert of the message counts as told, so every one has its share of the room.
        share = _BODY_BYTES // len(said.entries)
        text = "\n\n".join(_entry(entry, share) for entry in said.entries)
    return Issue(message.event, cut(_quiet(said.headline), _TITLE), f"{text}\n\n{mark}", labels, mark)


def _entry(entry: Entry, share: int) -> str:
    title, sentence = _cut(entry.title, share * 3 // 10), _cut(entry.sentence, share // 4)
    left = share // 4
    error = f"\n\n```text\n{_cut(entry.error, left, quiet=False).replace('```', _QUOTES)}\n```" if entry.error else ""
    return f"**{title}**\n\n{sentence}{error}\n\n{_links(entry.links)}".rstrip()


def _cut(text: str, limit: int, *, quiet: bool = True) -> str:
    shown = _quiet(text) if quiet else text
    return cut_to(shown, limit, lambda part: len(json.dumps(part)))


def _links(links: tuple[Link, ...]) -> str:
    return " · ".join(f"[{link.title}]({link.url})" for link in links)


def _quiet(text: str) -> str:
    """Break mentions of people and of other issues: nobody is to be called by the text of an error."""
    return text.replace("@", "@\u200b").replace("#", "#\u200b") if "@" in text or "#" in text else text
