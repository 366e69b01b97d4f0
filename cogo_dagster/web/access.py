"""Who may act: the admin token, the dashboard's session that stands for it, and what guessing costs."""

import hashlib
import hmac
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

SESSION_COOKIE: Final = "cogo_session"
SESSION_SECONDS: Final = 12 * 3_600

_GUESSES: Final = 10
_GUESS_SECONDS: Final = 60.0


class Refused(Exception):
    """The request may not do this; the message is one sentence that says what to do.

    Args:
        status: 401, 403, 404 or 429.
        retry_seconds: When to come back.
    """

    def __init__(self, status: int, sentence: str, *, retry_seconds: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in operator."""

    name: str


class Access:
    """Compares tokens in constant time and sells few guesses.

    Args:
        token: Returns the admin token, or None while none is set; asked each time, so that it can be changed.
    """

    def __init__(self, token: Callable[[], str | None]) -> None:
        self._token = token
        self._guesses: deque[float] = deque()
        self._lock = Lock()

    @property
    def is_open(self) -> bool:
        """Whether a token is set, so that anybody can act at all."""
        return self._token() is not None

    def require(self, given: str | None) -> None:
        """Let the holder of the token pass.

        Raises:
            Refused: 403 while no token is set, 401 without or with a wrong one, 429 after too many wrong ones.
        """
        expected = self._expected()
        if given is None:
            raise Refused(401, "This needs the header x-admin-token with the value of QUALITY_NOTIFY_ADMIN_TOKEN.")
        self._refuse_guessing()
        if not hmac.compare_digest(_digest(given), _digest(expected)):
            with self._lock:
                self._guesses.append(time.monotonic())
            raise Refused(401, "This admin token is wrong: compare it with QUALITY_NOTIFY_ADMIN_TOKEN of the server.")

    def new_session(self, name: str) -> str:
        """Return the value of a session cookie for somebody who has shown the token."""
        expires = int(time.time()) + SESSION_SECONDS
        plain = f"{expires}.{secrets.token_hex(8)}.{actor_name(name).encode().hex()}"
        return f"{plain}.{self._seal(plain, self._expected())}"

    def session(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie; None if it is absent, wrong, over, or of a token before this one."""
        token = self._token()
        if not cookie or token is None:
            return None
        plain, _, seal = cookie.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(plain, token).encode()):
            return None
        expires, _, name = plain.split(".")
        return Session(bytes.fromhex(name).decode()) if int(expires) > time.time() else None

    def _expected(self) -> str:
        token = self._token()
        if token is None:
            raise Refused(
                403, "Actions are closed while no admin token is set: set QUALITY_NOTIFY_ADMIN_TOKEN on the server."
            )
        return token

    def _refuse_guessing(self) -> None:
        with self._lock:
            while self._guesses and time.monotonic() - self._guesses[0] > _GUESS_SECONDS:
                self._guesses.popleft()
            if len(self._guesses) >= _GUESSES:
                wait = int(_GUESS_SECONDS - (time.monotonic() - self._guesses[0])) + 1
                raise Refused(429, f"Too many wrong tokens: try again in {wait} s.", retry_seconds=wait)

    def _seal(self, plain: str, token: str) -> str:
        return hmac.new(_digest(token), f"cogo session {plain}".encode(), hashlib.sha256).hexdigest()


def actor_name(given: str | None) -> str:
    """Return a name fit for the log: printable, at most 80 letters, `admin` where there is none."""
    plain = re.sub(r"\s+", " ", "".join(letter if letter.isprintable() else " " for letter in given or "")).strip()
    return plain[:80] or "admin"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
