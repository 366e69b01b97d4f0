"""The dead man's switch: an address that is called every minute while the system works, and not called otherwise.

Who is behind the address (healthchecks.io, Dead Man's Snitch, an Alertmanager elsewhere) tells people when the calls
stop. It is the only alert that does not need this system to be alive.
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
    """The address did not take the call; the message says why, without the address, which is a secret."""


class DeadManSwitch:
    """Calls COGO_DEADMAN_URL. All processes share one interval, which is claimed in the database.

    Args:
        transport: The database.
        settings: For the address and WEBHOOK_ALLOWED_HOSTS.
    """

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._settings = settings

    def call_if_due(self) -> bool:
        """Call the address if the system works and nobody has called it within a minute; return whether it was called.

        Raises:
            QueueError: The database is away, so that the call does not happen.
            DeadManFailed: The address did not take it.
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
                answer = await sender.send("GET", url, {"User-Agent": "cogo-dagster"})
        except PostFailed as failure:
            raise DeadManFailed(f"The address in COGO_DEADMAN_URL cannot be called: {failure.sentence}") from None
        if not 200 <= answer.status < 300:
            raise DeadManFailed(f"The address in COGO_DEADMAN_URL answered with status {answer.status}.")
