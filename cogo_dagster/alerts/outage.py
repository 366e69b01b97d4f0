"""Reports an unreachable database to the alert targets directly; the state is kept in a file.

The file is shared by the processes of a machine, so that each target is notified once per outage and machine. When the
database responds again, the outage is recorded there, and the regular delivery reports its end.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

from cogo_dagster.alerts.messages import Alert, Event, Message
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_failure
from cogo_dagster.alerts.target import Target
from cogo_dagster.net.webhooks import PostFailed, webhooks
from cogo_dagster.queue.embedded.locks import locked
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, TransportError
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings
from cogo_dagster.text import load_json

GRACE_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 15.0


@dataclass(slots=True)
class Outage:
    """Content of the file. Times are seconds since the epoch on this machine's clock."""

    outage_id: str
    started_at: float
    error: str
    notified: list[str] = field(default_factory=list)
    tried_at: float = 0


def is_unreachable(error: BaseException) -> bool:
    """Whether an error means that the database cannot be used at all, rather than that one call failed."""
    return isinstance(error, (AccessDenied, DatabaseUnavailable, TransportError))


class OutageWatch:
    """Reports outages of the database to the targets.

    Args:
        targets: Where messages are sent.
        settings: For the file's folder, links and allowed hosts.
        redact: Redacts secrets in a text.
        host: Name of this machine.
    """

    def __init__(self, targets: Sequence[Target], settings: Settings, redact: Callable[[str], str], host: str) -> None:
        self._targets = targets
        self._settings = settings
        self._redact = redact
        self._host = host
        self._file = settings.home / "alerts" / "outage.json"

    def database_down(self, error: QueueError, *, grace_seconds: float = GRACE_SECONDS) -> Mapping[str, Receipt]:
        """Record that the database is unreachable; after the grace period, notify each target once.

        Returns:
            Receipts of the messages that were tried in this call.
        """
        with self._locked():
            outage = self._read() or Outage(str(new_request_id()), time.time(), self._redact(str(error)))
            self._write(outage)
            now = time.time()
            due = now - outage.started_at >= grace_seconds and now - outage.tried_at >= _AGAIN_SECONDS
            pending = [target for target in self._targets if target.name not in outage.notified]
            if not due or not pending:
                return {}
            outage.tried_at = now
            self._write(outage)
            receipts = asyncio.run(self._send(pending, outage))
            outage.notified += [
                name for name, receipt in receipts.items() if receipt.outcome is DeliveryOutcome.DELIVERED
            ]
            self._write(outage)
            return receipts

    def database_up(self, transport: Transport) -> None:
        """Record the outage, if there was one, in the database that responds again, and delete the file.

        Raises:
            QueueError: The database is unreachable again.
        """
        if not self._file.exists():
            return
        with self._locked():
            outage = self._read()
            if outage is None:
                return
            seconds = max(time.time() - outage.started_at, 0)
            if outage.notified or seconds >= GRACE_SECONDS:
                transport.call(
                    "record_outage",
                    {
                        "outage_id": outage.outage_id,
                        "host": self._host,
                        "started_seconds_ago": seconds,
                        "ended_seconds_ago": 0,
                        "error_message": outage.error,
                        "told": outage.notified,
                    },
                )
            self._file.unlink(missing_ok=True)

    async def _send(self, targets: Sequence[Target], outage: Outage) -> dict[str, Receipt]:
        async with webhooks(self._settings.webhook_allowed_hosts, _SEND_SECONDS) as sender:

            async def notify(target: Target) -> Receipt:
                try:
                    return await target.send(self._message(target.name, outage), sender)
                except PostFailed as failure:
                    return from_failure(failure)
                except Exception as error:  # noqa: BLE001 - targets are independent
                    return Receipt(DeliveryOutcome.RETRY, type(error).__name__, self._redact(str(error)))

            receipts = await asyncio.gather(*(notify(target) for target in targets))
        return {target.name: receipt for target, receipt in zip(targets, receipts, strict=True)}

    def _message(self, target: str, outage: Outage) -> Message:
        started = datetime.fromtimestamp(outage.started_at, UTC)
        alert = Alert(
            id=outage.outage_id,
            fingerprint=hashlib.md5(f"database_down\n{self._host}".encode(), usedforsecurity=False).hexdigest()[:16],
            kind="database_down",
            subject=self._host,
            title=f"The database cannot be reached from {self._host}",
            error_class="database_down",
            error_message=outage.error,
            count=1,
            new_count=1,
            first_seen_at=started,
            last_seen_at=started,
            resolved_at=None,
            resolution=None,
            announced_at=None,
            refs={},
            body={},
        )
        return Message(uuid5(UUID(outage.outage_id), target), target, Event.FIRING, 1, (alert,))

    def _locked(self) -> AbstractContextManager[object]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        return locked(self._file.with_suffix(".lock"))

    def _read(self) -> Outage | None:
        try:
            return Outage(**load_json(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, outage: Outage) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(outage)), encoding="utf-8")
        draft.replace(self._file)
