"""Authentication: tokens, browser sessions, login links, and a limit on failed attempts."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final
from uuid import UUID

from cogo_dagster.vault.access_tokens import AccessTokens, Holder, WebSession, hashed, new_secret
from cogo_dagster.vault.vault_errors import VaultError
from cogo_dagster.web.failures import Failures
from cogo_dagster.web.token import AdminToken

SESSION_COOKIE: Final = "cogo_session"
LINK_SECONDS: Final = 600
"""How long the login link of `cogo dev` is valid; it works once."""

SIGNED_SECONDS: Final = 3_600
"""How long a signed artifact URL is valid; it also ends with its session."""

_ADMIN: Final = Holder("admin", "admin")

_MAX_FAILURES: Final = 10
_FAILURE_WINDOW_SECONDS: Final = 60.0


class RequestDenied(Exception):
    """The request is not allowed. The message says what to do.

    Args:
        status: 401, 403, 404, 409 or 429.
        retry_seconds: Value of Retry-After.
    """

    def __init__(self, status: int, message: str, *, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_seconds = retry_seconds


class Access:
    """Authenticates requests.

    Methods that query the database raise QueueError; they raise VaultError if the vault cannot be read.

    Args:
        admin_token: Returns the admin token; called for each check, so that the token can be rotated.
        tokens: Returns the store of named tokens and sessions.
        own_token: A second admin token of this process only: `cogo dev` needs one for the sessions of its login link.
        open_here: Whether requests from this machine may read without a session; set by `cogo dev` only.
        session_seconds: The lifetime of a session.
    """

    def __init__(
        self,
        admin_token: AdminToken,
        tokens: Callable[[], AccessTokens],
        *,
        own_token: str | None = None,
        open_here: bool = False,
        session_seconds: float,
    ) -> None:
        self._admin_token = admin_token
        self._tokens = tokens
        self._own_token = own_token
        self.open_here = open_here
        self.session_seconds = session_seconds
        self._failures = Failures(_MAX_FAILURES, _FAILURE_WINDOW_SECONDS)
        self._links: dict[str, float] = {}
        self._lock = Lock()

    @property
    def tokens(self) -> AccessTokens:
        """The named tokens."""
        return self._tokens()

    @property
    def is_closed(self) -> bool:
        """Whether no token exists, so that login is impossible."""
        try:
            return next(self._admin_tokens(), None) is None and not self.tokens.rows(live_only=True)
        except VaultError:
            return False  # the vault holds a token that cannot be decrypted here

    def holder_of(self, given: str | None, client: str) -> Holder:
        """Return the holder of a token. Comparison precedes rate limiting, so a valid token is always accepted.

        Args:
            client: Key under which failed attempts are counted.

        Raises:
            RequestDenied: 401 if the token is missing or wrong, 429 after ten wrong tokens of this client in a minute,
                403 while no token exists.
        """
        if given is None:
            raise RequestDenied(401, "Send an access token or the admin token in the header x-admin-token.")
        if (found := self._find(given)) is not None:
            return found
        wait = self._failures.add(client)
        if wait is not None:
            raise RequestDenied(429, f"Too many wrong tokens. Try again in {wait} s.", retry_seconds=wait)
        if self.is_closed:
            raise RequestDenied(
                403,
                "Authentication is disabled because no token exists: set QUALITY_NOTIFY_ADMIN_TOKEN on the server, "
                "or create one with `cogo tokens create`.",
            )
        raise RequestDenied(
            401,
            "The token is wrong. Compare it with QUALITY_NOTIFY_ADMIN_TOKEN of the server, "
            "or list the access tokens with `cogo tokens list`.",
        )

    def open_session(self, holder: Holder) -> str:
        """Create a session for an authenticated holder; return the cookie's value."""
        secret = new_secret()
        token = None if holder.token_id else next(self._admin_tokens(), None)
        self.tokens.open_session(secret, holder, self.session_seconds, _seal(token, secret) if token else None)
        return secret

    def session(self, cookie: str | None) -> WebSession | None:
        """Return the session of a cookie; None if the cookie or its token is invalid, or the session has ended."""
        found = self.tokens.session_of(cookie) if cookie else None
        if found is None or cookie is None or found.seal is None:
            return found
        is_valid = any(hmac.compare_digest(found.seal, _seal(token, cookie)) for token in self._admin_tokens())
        return found if is_valid else None

    def end_session(self, cookie: str | None) -> None:
        """End the session of a cookie, on every server."""
        if cookie:
            self.tokens.end_session(cookie)

    def new_login_link(self) -> str:
        """Return a secret that opens one admin session within `LINK_SECONDS`."""
        ticket = new_secret()
        with self._lock:
            self._links[hashed(ticket)] = time.monotonic() + LINK_SECONDS
        return ticket

    def redeem(self, ticket: str, name: str) -> Holder:
        """Exchange the secret of a login link for a holder.

        Raises:
            RequestDenied: 401 if the secret is unknown or expired, or was used before.
        """
        with self._lock:
            until = self._links.pop(hashed(ticket), 0.0)
        if time.monotonic() > until:
            raise RequestDenied(
                401,
                "The login link has expired or was used. Log in with a token (`cogo tokens create NAME --role admin`), "
                "or restart `cogo dev`.",
            )
        return Holder(actor_name(name), "admin")

    def sign(self, session: WebSession, artifact_id: str) -> dict[str, str]:
        """Return query parameters that authorize reading one artifact without a cookie, while the session lasts."""
        expires = str(int(time.time()) + SIGNED_SECONDS)
        return {
            "session": session.id,
            "expires": expires,
            "signature": _signature(session, artifact_id, expires),
        }

    def signed_holder(self, artifact_id: str, session_id: str, expires: str, signature: str) -> Holder | None:
        """Return the holder for whom a URL was signed; None if it is invalid or expired, or the session has ended."""
        if not expires.isdecimal() or len(expires) > 12 or int(expires) < time.time() or not _is_uuid(session_id):
            return None
        session = self.tokens.session_by_id(session_id)
        if session is None:
            return None
        is_valid = hmac.compare_digest(signature.encode(), _signature(session, artifact_id, expires).encode())
        return session.holder if is_valid else None

    def _find(self, given: str) -> Holder | None:
        if any(_same(given, token) for token in (self._own_token, self._admin_token.environment_token) if token):
            return _ADMIN
        if (found := self.tokens.holder_of(given)) is not None:
            return found
        # The vault is read last, so that named tokens work while it cannot be read.
        return _ADMIN if any(_same(given, token) for token in self._admin_tokens()) else None

    def _admin_tokens(self) -> Iterator[str]:
        if self._own_token:
            yield self._own_token
        if token := self._admin_token():
            yield token


def actor_name(given: str | None) -> str:
    """Return a name for the log: printable, at most 80 characters, `admin` if none is given."""
    plain = re.sub(r"\s+", " ", "".join(char if char.isprintable() else " " for char in given or "")).strip()
    return plain[:80] or "admin"


def named(holder: Holder, given: str | None) -> str:
    """Return the actor for the log: the token's holder, and the name in the request.

    Args:
        given: Name in the request. It replaces the holder's name for the admin token, which belongs to no person.
    """
    if holder.token_id is None:
        return actor_name(given) if given and given.strip() else holder.name
    return f"{holder.name} ({actor_name(given)})" if given and given.strip() else holder.name


def new_own_token() -> str:
    """Return a random token for this process."""
    return secrets.token_hex(32)


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(_digest(given), _digest(token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _seal(token: str, cookie: str) -> str:
    return hmac.new(_digest(token), f"cogo session {cookie}".encode(), hashlib.sha256).hexdigest()


def _signature(session: WebSession, artifact_id: str, expires: str) -> str:
    return hmac.new(session.session_hash.encode(), f"{artifact_id} {expires}".encode(), hashlib.sha256).hexdigest()


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
