"""The interface of alert targets."""

import hashlib
from typing import Protocol

from cogo_dagster.alerts.messages import Message
from cogo_dagster.alerts.receipt import Receipt
from cogo_dagster.net.webhooks import Webhooks
from cogo_dagster.queue.rates import Rate


class Target(Protocol):
    """A receiver of messages.

    Attributes:
        name: Name in WEBHOOK_TYPE.
        rate: Rate limit, shared by all processes.
    """

    name: str
    rate: Rate

    @property
    def address_digest(self) -> str:
        """Digest that identifies the address without revealing it."""
        ...

    async def send(self, message: Message, webhooks: Webhooks) -> Receipt:
        """Make one attempt to deliver a message; any response is returned as a receipt.

        Raises:
            PostFailed: There was no response.
        """
        ...


def digest_of(*parts: str) -> str:
    """Return the digest of an address."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
