"""Checks the extra headers of a payload: each of them is sent as it was given, or rejected at enqueue."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

if TYPE_CHECKING:
    from playwright._impl._api_structures import SetCookieParam

MAX_COOKIE_CHARS: Final = 4_096
"""Maximum length of a cookie's name and value together (RFC 6265bis, 5.7); browsers discard longer ones."""

_CONNECTION_HEADERS: Final = re.compile(
    r"host|connection|content-length|transfer-encoding|upgrade|te|trailers?|keep-alive|proxy-.*", re.IGNORECASE
)
_BROWSER_HEADERS: Final = re.compile(r"set-cookie2?|cookie2|accept|referer|sec-fetch-.*", re.IGNORECASE)
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_COOKIES: Final = re.compile(rf"{_NAME}=[!#-+\--:<-\[\]-~]*(; {_NAME}=[!#-+\--:<-\[\]-~]*)*")
"""RFC 6265, 4.2.1."""
_SECURE_COOKIES: Final = re.compile(r"__(Host|Secure)-", re.IGNORECASE)
_SERVER_COOKIES: Final = re.compile(r"__(Host-)?Http-", re.IGNORECASE)
"""Prefixes of names that browsers accept only with https, and only from a server (RFC 6265bis, 4.1.3)."""


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return *headers* without the white space around values, which is not part of a value (RFC 9110, 5.5).

    Raises:
        ValueError: One of them is not sent as it is given.
    """
    for name, value in headers.items():
        if re.fullmatch(_NAME, name) is None or re.fullmatch(r"[\t\x20-\x7e]*", value) is None:
            raise ValueError(f"{name!r} is not a valid header: names and values must be printable ASCII")
        if _CONNECTION_HEADERS.fullmatch(name):
            raise ValueError(f"{name} is a connection header and cannot be set")
        if _BROWSER_HEADERS.fullmatch(name):
            raise ValueError(f"{name} is set by the browser and cannot be overridden")
        if name.lower() == "cookie":
            _check_cookies(name, value)
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header is given twice, with different case")
    return {name: value.strip("\t ") for name, value in headers.items()}


def check_cookies_of(url: str, headers: Mapping[str, str]) -> None:
    """Check that the cookies in *headers* are sent to *url*.

    Raises:
        ValueError: One of them is only sent to https.
    """
    for name in cookies_of(headers):
        if _SECURE_COOKIES.match(name) and not url.lower().startswith("https:"):
            raise ValueError(f"the cookie {name[:100]} is sent to https only, and url is not https")


def cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the cookies in the header `Cookie`."""
    values = [value for name, value in headers.items() if name.lower() == "cookie"]
    return dict(cookie for value in values for cookie in _parsed(value))


def browser_cookies(url: str, cookies: Mapping[str, str]) -> "list[SetCookieParam]":
    """Return the cookies for all paths of the host of *url*; Playwright would limit them to the folder of the URL."""
    site = urljoin(url, "/")
    return [{"name": name, "value": value, "url": site} for name, value in cookies.items()]


def _check_cookies(header: str, value: str) -> None:
    if _COOKIES.fullmatch(value.strip("\t ")) is None:
        raise ValueError(f"{header} does not have the form name=value; name=value")
    cookies = _parsed(value.strip("\t "))
    if len(dict(cookies)) < len(cookies):
        raise ValueError(f"{header} has two cookies of one name, of which browsers send one")
    for name, content in cookies:
        if len(name) + len(content) > MAX_COOKIE_CHARS:
            raise ValueError(f"the cookie {name[:100]} is longer than {MAX_COOKIE_CHARS:,} characters with its name")
        if _SERVER_COOKIES.match(name):
            raise ValueError(f"the cookie {name[:100]} can only be set by a server, because of its name")


def _parsed(value: str) -> list[tuple[str, str]]:
    return [(name, content) for name, _, content in (pair.partition("=") for pair in value.split("; "))]
