"""HTTP target: posts the alert as JSON, signed according to Standard Webhooks if there is a secret.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import json
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

from cogo_dagster.alerts.messages import Event, Message, Time
from cogo_dagster.alerts.notice import Entry, Notice, cut, notice
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_status
from cogo_dagster.alerts.target import digest_of
from cogo_dagster.net.webhooks import Answer, Webhooks
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rates import Rate
from cogo_dagster.settings import Settings

_BYTES: Final = 20_000


class HttpTarget:
    """A URL that the operator chooses."""

    name = "http"
    rate = Rate("alerts:http", 10, 5)

    def __init__(self, url: str, secret: str | None, settings: Settings) -> None:
        self._url = url
        self._signer = Webhook(secret) if secret else None
        self._settings = settings

    @property
    def address_digest(self) -> str:
        """Identifies the URL."""
        return digest_of(self._url)

    async def send(self, message: Message, webhooks: Webhooks) -> Receipt:
        """Post the document. Retries have the same ID, with a new timestamp and signature."""
        now = datetime.now(UTC)
        content = json.dumps(render(message, notice(message, self._settings), now), ensure_ascii=False)
        message_id = f"msg_{message.message_id.hex}"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "cogo-dagster",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._signer:
            headers["webhook-signature"] = self._signer.sign(message_id, now, content)
        return read(await webhooks.send("POST", self._url, headers, content.encode()))


def read(response: Answer) -> Receipt:
    """Interpret a response according to Standard Webhooks: 2xx is success, 410 disables the target."""
    if response.status == 410:
        message = (
            "The receiver responded with 410 (gone): the target is disabled until WEBHOOK_URL changes, or until "
            "`cogo alerts replay http`."
        )
        return Receipt(DeliveryOutcome.GONE, "http_410", message, 410)
    return from_status(response, "The receiver", "WEBHOOK_URL")


def render(message: Message, content: Notice, now: datetime) -> dict[str, Json]:
    """Return the document, shortened to the size that receivers accept."""
    kind = f"announcement.{message.alerts[0].kind}" if message.event is Event.ANNOUNCEMENT else f"alert.{message.event}"
    data: dict[str, Json] = {
        "message_id": str(message.message_id),
        "title": content.headline,
        "alerts": [_alert(entry) for entry in content.entries],
    }
    if message.event is Event.ANNOUNCEMENT:
        data |= {
            "markdown": cut(content.markdown, 12_000),
            "facts": [{"name": name, "value": value} for name, value in content.facts[:50]],
            "links": [{"title": link.title, "url": link.url} for link in content.links[:20]],
        }
    whole = {"type": kind, "timestamp": now.isoformat(), "data": data}
    for shorten in (_without_links, _with_short_errors, _with_short_text):
        if len(json.dumps(whole, ensure_ascii=False).encode()) > _BYTES:
            shorten(data)
    return whole


def _without_links(data: dict[str, Json]) -> None:
    data["alerts"] = [alert | {"links": []} for alert in data["alerts"]]


def _with_short_errors(data: dict[str, Json]) -> None:
    data["alerts"] = [alert | {"error": alert["error"] and cut(alert["error"], 100)} for alert in data["alerts"]]


def _with_short_text(data: dict[str, Json]) -> None:
    data["alerts"] = [
        alert
        | {"error": None, "title": cut(alert["title"], 80), "subject": cut(alert["subject"], 80)}
        | {"resolution": alert["resolution"] and cut(alert["resolution"], 80)}
        for alert in data["alerts"]
    ]
    if "markdown" in data:
        data["markdown"] = cut(data["markdown"], 2_000)
        data["facts"] = [{"name": cut(f["name"], 50), "value": cut(f["value"], 100)} for f in data["facts"][:20]]


def _alert(entry: Entry) -> Json:
    alert = entry.alert
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "kind": alert.kind,
        "subject": alert.subject,
        "title": cut(entry.title, 300),
        "error": entry.error and cut(entry.error, 1_000),
        "count": alert.count,
        "new_count": alert.new_count,
        "first_seen_at": _iso(alert.first_seen_at),
        "last_seen_at": _iso(alert.last_seen_at),
        "resolved_at": _iso(alert.resolved_at) if alert.resolved_at else None,
        "resolution": alert.resolution,
        "job_id": cut(str(alert.refs["job_id"]), 36) if alert.refs.get("job_id") else None,
        "command": entry.command and cut(entry.command, 100),
        "links": [{"title": link.title, "url": link.url} for link in entry.links],
    }


def _iso(time: Time) -> str:
    return time if isinstance(time, Unreadable) else time.isoformat()
