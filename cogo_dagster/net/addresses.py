"""Address rules: which hosts may be reached. Pure functions without sockets and DNS lookups.

A host is public if all addresses that it resolves to are public unicast. All others (this machine, the local network,
cloud metadata, addresses that embed a private one) are blocked unless an allow-list contains the host.

Sources: IANA special-purpose registries (RFC 6890), the host parser of https://url.spec.whatwg.org (how browsers
read `0x7f.1`), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP), RFC 6052 (NAT64).
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_ISATAP = re.compile(rb"\x00\x00\x5e\xfe|\x02\x00\x5e\xfe")
_BLOCKED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "168.63.129.16/32",  # Azure's WireServer: a public address that is reachable inside virtual machines
        "192.0.0.0/24",  # protocol assignments, including Oracle's metadata service
        "192.88.99.0/24",  # 6to4 relays, withdrawn by RFC 7526
    )
)
_BLOCKED_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, including Teredo
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation, RFC 9637; not in the table of Python 3.11
    )
)


class InvalidAddress(ValueError):
    """A URL or host is invalid, or of a kind that is not opened; the message is one sentence."""


class BlockedAddress(ValueError):
    """An address is private and not in the allow-list; the message is one sentence and names the variable."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hosts, or host:port, whose addresses may be private.

    Attributes:
        entries: `intranet`, `127.0.0.1:8080`, `[::1]:8080` or `::1`; compared with the requested host, not with what it
            resolves to, so that an allowed address does not allow other names.
        variable: The environment variable to name in messages.
    """

    entries: frozenset[str] = frozenset()
    variable: str = "BROWSER_ALLOWED_HOSTS"

    @classmethod
    def of(cls, entries: Iterable[str], variable: str = "BROWSER_ALLOWED_HOSTS") -> "AllowList":
        """Parse the entries of a setting.

        Raises:
            InvalidAddress: An entry is not a host or host:port.
        """
        return cls(frozenset(_normal_entry(entry) for entry in entries), variable)

    def contains(self, host: str, port: int) -> bool:
        """Whether a normalized host is allowed, on all ports or on this one."""
        return host in self.entries or join_host_port(host, port) in self.entries

    def check(self, host: str, port: int, addresses: Iterable[IPAddress]) -> None:
        """Check that all addresses of a host are public, unless the host is allowed.

        Raises:
            BlockedAddress: An address is private.
        """
        if self.contains(host, port):
            return
        for address in addresses:
            if not is_public(address):
                raise BlockedAddress(self._message(host, address))

    def _message(self, host: str, address: IPAddress) -> str:
        subject = f"{host} is" if host == str(address) else f"{host} resolves to {address},"
        return f"{subject} a private address: add {host} to {self.variable} to allow it."


def is_public(address: IPAddress) -> bool:
    """Whether an address is public unicast and does not embed a private IPv4 address."""
    if isinstance(address, ipaddress.IPv4Address):
        blocked = any(address in network for network in _BLOCKED_V4)
        return address.is_global and not (blocked or address.is_multicast or address.is_reserved)
    embedded = embedded_ipv4(address)
    if embedded is not None and not is_public(embedded):
        return False
    if address.ipv4_mapped or address in _NAT64:
        return True
    return address in _GLOBAL_UNICAST and not any(address in network for network in _BLOCKED_V6)


def embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address to which a translator or tunnel would deliver, or None."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _NAT64 or _ISATAP.fullmatch(address.packed[8:12]):
        return ipaddress.IPv4Address(address.packed[12:])
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(address.packed[2:6])
    return None


def parse_address(host: str) -> IPAddress | None:
    """Parse a host as browsers do; return None if it is a name.

    Raises:
        InvalidAddress: The host ends in a number but is not an IPv4 address, or is an invalid IPv6 address.
    """
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            raise InvalidAddress(f"{host} is not an IPv6 address.") from None
    return _parse_ipv4(host) if _ends_in_number(host) else None


@lru_cache(maxsize=1024)
def normal_host(host: str) -> str:
    """Return a host in normalized form: decoded, lower case, no final dot, addresses in canonical form.

    Raises:
        InvalidAddress: Browsers reject the host.
    """
    folded = unicodedata.normalize("NFKC", unquote(host)).lower().replace("。", ".")
    folded = folded.strip("[]").removesuffix(".")
    if not folded or re.search(r"[\s/\\?#@<>^|\x00-\x1f]", folded):
        raise InvalidAddress(f"{host!r} is not a host name.")
    address = parse_address(folded)
    return str(address) if address is not None else _ascii(folded)


def check_url(url: str, allowed: AllowList) -> SplitResult:
    """Check a URL without a DNS lookup: scheme, syntax, and literal addresses.

    Returns:
        The parts of the URL.

    Raises:
        InvalidAddress: Not http(s) or ws(s), no host, or a user name.
        BlockedAddress: The host is a private address that is not allowed.
    """
    parts = _split(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise InvalidAddress(f"{url[:200]} must begin with http:// or https://.")
    if "\\" in parts.netloc or "@" in parts.netloc:
        raise InvalidAddress(
            f"The URL for {parts.hostname} must not contain a user name: send it in a header or a form."
        )
    host = normal_host(parts.hostname or "")
    address = parse_address(host)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    if address is not None:
        allowed.check(host, port, [address])
    elif host == "localhost" or host.endswith(".localhost"):
        # Browsers do not resolve this name by DNS (RFC 6761).
        allowed.check(host, port, [ipaddress.IPv4Address("127.0.0.1")])
    return parts


def join_host_port(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(maxsize=1024)
def split_host_port(authority: str, default_port: int | None = None) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port` and normalize the host.

    Raises:
        InvalidAddress: There is no port and no default, or the text is not an authority.
    """
    match = re.fullmatch(r"(\[[^\]]*:[^\]]*\]|[^:@\[\]]+)(?::(\d{1,5}))?", authority)
    port = int(match[2]) if match and match[2] else default_port
    if match is None or port is None or not 0 < port < 65_536:
        raise InvalidAddress(f"{authority[:200]!r} is not host:port.")
    return normal_host(match[1]), port


def _split(url: str) -> SplitResult:
    if re.search(r"[\x00-\x20\x7f]", url):
        raise InvalidAddress("The URL must not contain spaces, tabs or line breaks.")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is not a number
    except ValueError as error:
        raise InvalidAddress(f"{url[:200]} is not a URL: {error}.") from None
    return parts


def _normal_entry(entry: str) -> str:
    if entry.count(":") > 1 and not entry.startswith("["):
        return normal_host(entry)
    host, port = split_host_port(entry, default_port=65_535)
    return join_host_port(host, port) if re.search(r"[^:]:\d+$", entry) else host


def _ends_in_number(host: str) -> bool:
    last = host.rpartition(".")[2]
    return last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None


def _parse_ipv4(host: str) -> ipaddress.IPv4Address:
    """Parse one to four parts, each decimal, 0octal or 0xhex; the last one fills the remaining bytes."""
    *high, low = (_number(part) for part in host.split("."))
    if len(high) > 3 or any(number > 255 for number in high) or low >= 256 ** (4 - len(high)):
        raise InvalidAddress(f"{host} ends in a number but is not an IPv4 address.")
    return ipaddress.IPv4Address(low + sum(number << (24 - 8 * index) for index, number in enumerate(high)))


def _number(part: str) -> int:
    """Return the number of a part, or one that is out of range if the part is not a number."""
    base = 16 if part.startswith("0x") else 8 if part.startswith("0") else 10
    digits = part.removeprefix("0x") or "0"
    try:
        return int(digits, base) if re.fullmatch(r"[0-9a-f]+", digits) else 2**32
    except ValueError:
        return 2**32


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidAddress(f"{name!r} is not a host name.") from None
