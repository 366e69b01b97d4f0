"""Secrets as they were encrypted."""

from pydantic import Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import Time


class SecretRow(Row):
    """A secret as lists show it: without its ciphertext."""

    environment: str
    reference: str
    key_id: str
    version: int
    created_at: Time
    updated_at: Time


class StoredSecret(SecretRow):
    """A secret that was kept; `changed` is False for the same ciphertext again."""

    created: bool
    changed: bool


class SealedSecret(SecretRow):
    """A secret with its ciphertext."""

    ciphertext: str = Field(repr=False)


class UnrotatedSecrets(Row):
    """A batch of secrets that another key encrypted."""

    secrets: list[SealedSecret]
    more: bool


class RotatedSecrets(Row):
    """What became of a batch of secrets; `skipped` counts those that changed concurrently."""

    matched: int
    changed: int
    skipped: int
