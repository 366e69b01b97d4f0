"""Authentication: tokens, the sessions that stand for them in a browser, and limits on failures."""

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
SESSION_SECONDS: Final = 12 * 3_600

LINK_SECONDS: Final = 600
"""So long the login link of `cogo dev` works, once."""

SIGNED_SECONDS: Final = 3_600
"""So long the signed address of an artifact works, and never longer than the session it was made for."""

_ADMIN: Final = Holder("admin", "admin")

_GUESSES: Final = 10
_GUESS_SECONDS: Final = 60.0


class RequestDenied(Exception):
    """The request may not do this; the message is one sentence that says what to do.

    Args:
        status: 401, 403, 404, 409 or 429.
        retry_seconds: When to come back.
    """

    def __init__(self, status: int, sentence: str, *, retry_seconds: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_seconds = retry_seconds


class Access:
    """Finds out who asks. Whatever asks the database raises QueueError, and VaultError where the vault is unreadable.

    Args:
        admin_token: Knows the admin token; asked each time, so that it can be changed.
        tokens: Returns the named tokens and the sessions.
        own_token: One more admin token, of this process alone: `cogo dev` makes it for the sessions of its login link.
        open_here: Whether requests from this machine may read without a session; only `cogo dev` says so.
    """

    def __init__(
        self,
        admin_token: AdminToken,
        tokens: Callable[[], AccessTokens],
        *,
        own_token: str | None = None,
        open_here: bool = False,
    ) -> None:
        self._admin_token = admin_token
        self._tokens = tokens
        self._own_token = own_token
        self.open_here = open_here
        self._failures = Failures(_GUESSES, _GUESS_SECONDS)
        self._links: dict[str, float] = {}
        self._lock = Lock()

    @property
    def tokens(self) -> AccessTokens:
        """The named tokens."""
        return self._tokens()

    @property
    def is_closed(self) -> bool:
        """Whether there is no token at all, so that nobody can log in."""
        try:
            return next(self._admin_tokens(), None) is None and not self.tokens.rows(live_only=True)
        except VaultError:
            return False  # it has one, which cannot be read here

    def holder_of(self, given: str | None, client: str) -> Holder:
        """Return who holds a token. Tokens are compared before failures are counted: a right one is always accepted.

        Args:
            client: Whose wrong tokens are counted together.

        Raises:
            RequestDenied: 401 without or with a wrong one, 429 after ten wrong ones of this client within a minute,
                403 while there is no token at all.
        """
        if given is None:
            raise RequestDenied(401, "This needs the header x-admin-token with an access token or the admin token.")
        if (found := self._find(given)) is not None:
            return found
        wait = self._failures.add(client)
        if wait is not None:
            raise RequestDenied(429, f"Too many wrong tokens: try again in {wait} s.", retry_seconds=wait)
        if self.is_closed:
            raise RequestDenied(
                403,
                "This is closed while there is no token: set QUALITY_NOTIFY_ADMIN_TOKEN on the server, "
                "or make one with `cogo tokens create`.",
            )
        raise RequestDenied(
            401,
            "This admin token is wrong: compare it with QUALITY_NOTIFY_ADMIN_TOKEN of the server, "
            "or see `cogo tokens list` for those that were made.",
        )

    def open_session(self, holder: Holder) -> str:
        """Begin a session of somebody who has shown a token; return its cookie's value."""
        secret = new_secret()
        token = None if holder.token_id else next(self._admin_tokens(), None)
        self.tokens.open_session(secret, holder, SESSION_SECONDS, _seal(token, secret) if token else None)
        return secret

    def session(self, cookie: str | None) -> WebSession | None:
        """Return the session of a cookie; None if it is wrong, has ended, or its token does not count any more."""
        found = self.tokens.session_of(cookie) if cookie else None
        if found is None or cookie is None or found.seal is None:
            return found
        fits = any(hmac.compare_digest(found.seal, _seal(token, cookie)) for token in self._admin_tokens())
        return found if fits else None

    def end_session(self, cookie: str | None) -> None:
        """End the session of a cookie on every server."""
        if cookie:
            self.tokens.end_session(cookie)

    def new_login_link(self) -> str:
        """Return a word that opens one session of an administrator, once and soon."""
        ticket = new_secret()
        with self._lock:
            self._links[hashed(ticket)] = time.monotonic() + LINK_SECONDS
        return ticket

    def redeem(self, ticket: str, name: str) -> Holder:
        """Take a login link.

        Raises:
            RequestDenied: 401 if it was used, is too old, or never was one.
        """
        with self._lock:
            until = self._links.pop(hashed(ticket), 0.0)
        if time.monotonic() > until:
            raise RequestDenied(
                401,
                "This login link was used or is too old: log in with a token (`cogo tokens create NAME --role admin`), "
                "or start `cogo dev` again.",
            )
        return Holder(actor_name(name), "admin")

    def sign(self, session: WebSession, artifact_id: str) -> dict[str, str]:
        """Return the parameters of an address that shows one artifact without the cookie, while the session lasts."""
        expires = str(int(time.time()) + SIGNED_SECONDS)
        return {
            "session": session.id,
            "expires": expires,
            "signature": _signature(session, artifact_id, expires),
        }

    def signed_holder(self, artifact_id: str, session_id: str, expires: str, signature: str) -> Holder | None:
        """Return for whom an address was signed; None where it was not, is too old, or the session has ended."""
        if not expires.isdecimal() or len(expires) > 12 or int(expires) < time.time() or not _is_uuid(session_id):
            return None
        session = self.tokens.session_by_id(session_id)
        if session is None:
            return None
        fits = hmac.compare_digest(signature.encode(), _signature(session, artifact_id, expires).encode())
        return session.holder if fits else None

    def _find(self, given: str) -> Holder | None:
        if any(_same(given, token) for token in (self._own_token, self._admin_token.given) if token):
            return _ADMIN
        if (found := self.tokens.holder_of(given)) is not None:
            return found
        # The vault comes last: where it cannot be read, named tokens work all the same.
        return _ADMIN if any(_same(given, token) for token in self._admin_tokens()) else None

    def _admin_tokens(self) -> Iterator[str]:
        if self._own_token:
            yield self._own_token
        if token := self._admin_token():
            yield token


def actor_name(given: str | None) -> str:
    """Return a name fit for the log: printable, at most 80 letters, `admin` where there is none."""
    plain = re.sub(r"\s+", " ", "".join(letter if letter.isprintable() else " " for letter in given or "")).strip()
    return plain[:80] or "admin"


def named(holder: Holder, given: str | None) -> str:
    """Return who acts, as the log keeps it: the holder of a named token, and whoever they say they are.

    Args:
        given: What somebody says of themselves; of the admin token's holder nothing else is known.
    """
    if holder.token_id is None:
        return actor_name(given) if given and given.strip() else holder.name
    return f"{holder.name} ({actor_name(given)})" if given and given.strip() else holder.name


def new_own_token() -> str:
    """Make a token for this process alone."""
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
