"""The dead man's switch: a URL that is called every minute while the system works.

The service behind the URL (healthchecks.io, Dead Man's Snitch, an Alertmanager on another machine) alerts when the
calls stop. This is the only alert that works while this system is down.
"""

import asyncio
from typing import Final

from cogo_dagster.net.webhooks import PostFailed, webhooks
from cogo_dagster.queue.rows.alerts import DeadmanClaim
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings

INTERVAL_SECONDS: Final = 60.0
_SEND_SECONDS: Final = 10.0


class DeadManFailed(Exception):
    """The call failed. The message gives the reason, without the URL, which is a secret."""


class DeadManSwitch:
    """Calls COGO_DEADMAN_URL once per interval; all processes share the interval through the database.

    Args:
        transport: Connection to the database.
        settings: For the URL and WEBHOOK_ALLOWED_HOSTS.
    """

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._settings = settings

    def call_if_due(self) -> bool:
        """Call the URL unless a process called it within the last minute; return whether it was called.

        Raises:
            QueueError: The database is unreachable, so the URL was not called.
            DeadManFailed: The call failed.
        """
        url = self._settings.deadman_url
        if url is None:
            return False
        claim = DeadmanClaim.model_validate(
            self._transport.call("claim_deadman_ping", {"interval_seconds": INTERVAL_SECONDS})
        )
        if not claim.claimed:
            return False
        asyncio.run(self._call(url.get_secret_value()))
        return True

    async def _call(self, url: str) -> None:
        try:
            async with webhooks(self._settings.webhook_allowed_hosts, _SEND_SECONDS) as sender:
                response = await sender.send("GET", url, {"User-Agent": "cogo-dagster"})
        except PostFailed as failure:
            raise DeadManFailed(f"The request to COGO_DEADMAN_URL failed: {failure.sentence}") from None
        if not 200 <= response.status < 300:
            raise DeadManFailed(f"COGO_DEADMAN_URL responded with {response.status}: check the URL.")
