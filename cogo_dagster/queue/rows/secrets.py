"""Encrypted secrets."""

from pydantic import Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import Time


class SecretRow(Row):
    """A secret in a list, without its ciphertext."""

    environment: str
    reference: str
    key_id: str
    version: int
    created_at: Time
    updated_at: Time


class StoredSecret(SecretRow):
    """A stored secret; `changed` is False if the ciphertext is unchanged."""

    created: bool
    changed: bool


class SealedSecret(SecretRow):
    """A secret with its ciphertext."""

    ciphertext: str = Field(repr=False)


class UnrotatedSecrets(Row):
    """A batch of secrets that are encrypted with another key."""

    secrets: list[SealedSecret]
    more: bool


class RotatedSecrets(Row):
    """The result for a batch of secrets; `skipped` counts those that changed concurrently."""

    matched: int
    changed: int
    skipped: int
