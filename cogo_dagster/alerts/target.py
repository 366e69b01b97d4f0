"""What the deliverer asks of a target."""

import hashlib
from typing import Protocol

from cogo_dagster.alerts.messages import Message
from cogo_dagster.alerts.receipt import Receipt
from cogo_dagster.net.webhooks import Webhooks
from cogo_dagster.queue.rates import Rate


class Target(Protocol):
    """Somewhere messages go.

    Attributes:
        name: As WEBHOOK_TYPE names it.
        rate: Kept by all processes together.
    """

    name: str
    rate: Rate

    @property
    def address_digest(self) -> str:
        """Tells one address from another without being one."""
        ...

    async def send(self, message: Message, webhooks: Webhooks) -> Receipt:
        """Try once to deliver; whatever the target answers becomes a receipt.

        Raises:
            PostFailed: There was no answer.
        """
        ...


def digest_of(*parts: str) -> str:
    """Return the digest of an address."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
