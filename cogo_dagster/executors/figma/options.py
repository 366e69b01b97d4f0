"""Options of the Figma executor."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from cogo_dagster.settings import Settings

API = "https://api.figma.com"


@dataclass(frozen=True, slots=True)
class FigmaOptions:
    """The Figma part of the settings; tests create their own.

    Attributes:
        token: Sent only to the API; None leaves Figma jobs to other workers.
        api: Scheme and host of the API. Not a setting, so that the token cannot be sent elsewhere.
        allowed_hosts: Hosts, or host:port, for which private addresses are allowed; not a setting either.
        slots: Number of concurrent jobs; Figma allows about ten calls a minute in total.
        call_seconds: Timeout of one call; Figma takes up to a minute to render.
        attempt_seconds: Time limit of an attempt of a job without its own limit.
        max_wait_seconds: A job that would wait longer for the rate limit is snoozed.
        batch: The maximum number of nodes per call.
    """

    token: str | None = field(default=None, repr=False)
    api: str = API
    allowed_hosts: tuple[str, ...] = ()
    slots: int = 2
    call_seconds: float = 120
    attempt_seconds: float = 1_800
    max_wait_seconds: float = 60
    batch: int = 50

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the Figma part of the settings."""
        token = settings.figma_api_token
        return cls(token=token.get_secret_value().strip() if token else None)

    @property
    def token_hash(self) -> str:
        """Twelve hexadecimal digits that identify the token among workers without revealing it."""
        return sha256((self.token or "").encode()).hexdigest()[:12]
