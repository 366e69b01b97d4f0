"""Takes secrets out of text before it is kept or sent."""

import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "[hidden]"

_TOKENS: Final = re.compile(
    r"""
      \b(?:figd|sbp|sb_secret|sb_publishable|ghp|gho|ghu|ghs|ghr|github_pat|whsec)_[A-Za-z0-9_\-+/=]{8,}
    | \bxox[a-z]-[A-Za-z0-9-]{8,}
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*            # JSON web token
    | \bgAAAA[A-Za-z0-9_-]{60,}={0,2}                                      # Fernet
    """,
    re.VERBOSE,
)
_HEADERS: Final = re.compile(
    r"""(?i)\b((?:proxy-)?authorization|x-figma-token|x-admin-token|apikey|api-key|cookie|set-cookie)(["']?\s*[:=]\s*["']?)(?:(bearer|basic)\s+)?[^\s"',;}]+"""
)
_BEARERS: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}")
_WORDS: Final = re.compile(
    r"""(?i)\b([a-z0-9_-]*(?:password|passwd|secret|token|api[_-]?key|service[_-]role[_-]key))(["']?\s*[:=]\s*["']?)[^\s"',;&}]{4,}"""
)
_USERINFO: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@")
_SLACK_HOOKS: Final = re.compile(r"(?i)(hooks\.slack\.com/(?:services|workflows)/)[^\s\"'<>]+")
_QUERIES: Final = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s?#\"'<>]+)\?[^\s#\"'<>]+")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with what looks like a secret hidden.

    Hidden are tokens of known makes, credentials in headers, words such as `password=…`, user names and passwords in
    addresses, and whole query strings, which are where services put their tokens.

    Args:
        text: Anything a log, a row or a message would hold.
        secrets: Values known to be secret, hidden wherever they stand; those under six characters are left.
    """
    for secret in sorted((s for s in secrets if len(s) >= 6), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _SLACK_HOOKS.sub(rf"\1{HIDDEN}", text)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = _QUERIES.sub(rf"\1?{HIDDEN}", text)
    text = _TOKENS.sub(HIDDEN, text)
    text = _HEADERS.sub(rf"\1\2{HIDDEN}", text)
    text = _BEARERS.sub(rf"\1 {HIDDEN}", text)
    return _WORDS.sub(rf"\1\2{HIDDEN}", text)
