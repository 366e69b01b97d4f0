"""What a Figma executor is told once, when it is built."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from cogo_dagster.settings import Settings

API = "https://api.figma.com"


@dataclass(frozen=True, slots=True)
class FigmaOptions:
    """The Figma part of the settings; tests make their own.

    Attributes:
        token: Sent to the API and nowhere else; None leaves Figma jobs to other workers.
        api: Scheme and host of the API. No setting and no payload can change it, so that nobody sends the token
            elsewhere.
        allowed_hosts: Hosts, or host:port, that may be private; no setting either.
        slots: Jobs at once: Figma grants some ten calls a minute, whoever asks.
        call_seconds: Longest silence of one call; rendering takes Figma up to a minute.
        attempt_seconds: Longest run of one attempt of a job without a limit of its own.
        patience_seconds: A wait for the rate limit that is longer puts the job off.
        batch: Nodes in one call.
    """

    token: str | None = field(default=None, repr=False)
    api: str = API
    allowed_hosts: tuple[str, ...] = ()
    slots: int = 2
    call_seconds: float = 120
    attempt_seconds: float = 1_800
    patience_seconds: float = 60
    batch: int = 50

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the Figma part of the settings."""
        token = settings.figma_api_token
        return cls(token=token.get_secret_value().strip() if token else None)

    @property
    def token_hash(self) -> str:
        """Twelve digits by which workers know that they share a token, without telling it."""
        return sha256((self.token or "").encode()).hexdigest()[:12]
