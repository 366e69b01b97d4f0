"""Errors of the vault; each message is one sentence with advice, without a secret.

VaultError
├── InvalidReference   not provider:usage:name, or a value that cannot be stored
└── NoVaultKeys        there is no key
"""


class VaultError(Exception):
    """A secret cannot be read or stored."""


class InvalidReference(VaultError):
    """A reference or the value of a secret is invalid."""


class NoVaultKeys(VaultError):
    """There is no usable key in COGO_VAULT_KEYS or beside the embedded database."""
