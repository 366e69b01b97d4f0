"""What goes wrong with secrets; each message is one sentence that says what to do, without a secret.

VaultError
├── InvalidReference   not provider:usage:name, or a value no secret can have
└── NoVaultKeys        there is no key to encrypt with
"""


class VaultError(Exception):
    """A secret cannot be read or kept."""


class InvalidReference(VaultError):
    """What was given names no secret, or cannot be one."""


class NoVaultKeys(VaultError):
    """No usable key stands in COGO_VAULT_KEYS, or beside the embedded database."""
