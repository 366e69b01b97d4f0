"""Address rules: spellings of private, invalid and public addresses."""

import ipaddress

import pytest

from cogo_dagster.net.addresses import (
    AllowList,
    BlockedAddress,
    InvalidAddress,
    check_url,
    is_public,
    normal_host,
    split_host_port,
)

NONE_ALLOWED = AllowList()

PRIVATE_URLS = [
    # plain
    "http://127.0.0.1/", "http://127.255.255.254/", "http://0.0.0.0/", "http://10.0.0.1/", "http://172.16.0.1/",
    "http://172.31.255.255/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/", "http://100.100.100.200/", "http://168.63.129.16/", "http://192.0.0.192/",
    "http://198.18.0.1/", "http://192.0.2.1/", "http://198.51.100.1/", "http://203.0.113.1/", "http://192.88.99.1/",
    "http://224.0.0.1/", "http://239.255.255.250/", "http://240.0.0.1/", "http://255.255.255.255/",
    # names of this machine
    "http://localhost/", "http://LOCALHOST/", "http://localhost./", "http://a.localhost/", "https://localhost:8443/",
    # decimal, octal, hex, and fewer parts
    "http://2130706433/", "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://017700000001/",
    "http://127.1/", "http://127.0.1/", "http://0/", "http://0x0/", "http://0xA9FEA9FE/", "http://2852039166/",
    "http://0251.0376.0251.0376/", "http://0xa9.254.0251.254/", "http://10.1/", "http://192.168.257/", "http://127.0.0.1./",
    # other scripts and escapes
    "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://１２７.0.0.1/", "http://ｌｏｃａｌｈｏｓｔ/",  # noqa: RUF001
    "http://%31%32%37.0.0.1/", "http://%6c%6f%63%61%6c%68%6f%73%74/",
    # IPv6
    "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[fe80::1]/", "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/",
    "http://[100::1]/", "http://[3fff::1]/", "http://[4000::1]/",
    # IPv4 inside IPv6: mapped, compatible, NAT64, 6to4, Teredo, ISATAP
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::ffff:a9fe:a9fe]/", "http://[::127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[64:ff9b:1::1]/", "http://[2002:7f00:1::]/",
    "http://[2002:c0a8:101::1]/", "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[2606:4700::5efe:10.0.0.1]/", "http://[2606:4700::200:5efe:c0a8:101]/",
    # other schemes of the web
    "ws://127.0.0.1/", "wss://10.0.0.1/",
]  # fmt: skip

INVALID_URLS = [
    "file:///etc/passwd", "FILE:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "chrome://version/",
    "view-source:http://example.com/", "javascript:alert(1)", "data:text/html,x", "about:blank", "blob:http://x/1",
    "http://user@example.com/", "http://user:secret@example.com/", "http://example.com@127.0.0.1/",
    "http://127.0.0.1\\@example.com/", "http:///path", "http://", "//example.com/", "example.com", "",
    "http://exa mple.com/", "http://example.com/\r\nx: y", "http://1.2.3.4.5/", "http://256.0.0.1/", "http://1.2.3.09/",
    "http://0x7g.1/", "http://example.com:99999/", "http://example.com:a/", "http://[::1/", "http://[::g]/",
    "http://4294967296/", "http://foo.0x4/", "http://a%00b/", "http://a%2fb/",
]  # fmt: skip

PUBLIC_HOSTS = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "11.0.0.1",
    "2606:4700:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE_URLS)
def test_a_private_address_is_blocked_in_every_spelling(url: str) -> None:
    """Every spelling that browsers resolve to a private address is blocked, with advice in the message."""
    with pytest.raises(BlockedAddress, match=r"a private address: add .* to BROWSER_ALLOWED_HOSTS to allow it\.$"):
        check_url(url, NONE_ALLOWED)


@pytest.mark.parametrize("url", INVALID_URLS)
def test_an_invalid_url_is_rejected(url: str) -> None:
    """Other schemes, user names and invalid hosts raise InvalidAddress."""
    with pytest.raises(InvalidAddress):
        check_url(url, NONE_ALLOWED)


@pytest.mark.parametrize("host", PUBLIC_HOSTS)
def test_public_addresses_are_allowed(host: str) -> None:
    """Addresses adjacent to blocked networks are public."""
    assert is_public(ipaddress.ip_address(host))


@pytest.mark.parametrize(
    "url", ["http://example.com/", "HTTPS://Example.COM:8443/x?y#z", "http://bücher.example/", "wss://example.com/s"]
)
def test_names_are_not_resolved(url: str) -> None:
    """A name is checked by the proxy after its resolution."""
    check_url(url, NONE_ALLOWED)


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8081/", False),
        ("127.0.0.1:8080", "http://2130706433:8080/", True),
        ("127.0.0.1:80", "http://127.0.0.1/", True),
        ("localhost", "http://LocalHost./", True),
        ("localhost", "http://127.0.0.1/", False),
        ("127.0.0.1", "http://localhost/", False),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("[::1]", "http://[0::1]:9/", True),
        ("::1", "http://[::1]/", True),
        ("::1", "http://[::ffff:127.0.0.1]/", False),
        ("intranet:443", "https://intranet/", True),
    ],
)
def test_the_allow_list(entry: str, url: str, allowed: bool) -> None:
    """An entry allows a host or host:port in any spelling, and nothing else."""
    allow_list = AllowList.of([entry])
    if allowed:
        check_url(url, allow_list)
        parts = check_url(url, allow_list)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        assert allow_list.contains(normal_host(parts.hostname or ""), port)
    else:
        with pytest.raises(BlockedAddress):
            check_url(url, allow_list)


def test_one_private_address_among_public_ones_is_blocked() -> None:
    """The message contains the private address."""
    addresses = [ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address("10.0.0.7")]
    with pytest.raises(BlockedAddress, match=r"^mixed\.example resolves to 10\.0\.0\.7, a private address: add mixed"):
        NONE_ALLOWED.check("mixed.example", 80, addresses)


@pytest.mark.parametrize("text", ["", "host", "host:", "host:0", "host:65536", "a:b:80", "u@host:80", "[::1]"])
def test_an_authority_needs_a_host_and_a_port(text: str) -> None:
    """The target of CONNECT must be host:port."""
    with pytest.raises(InvalidAddress):
        split_host_port(text)


@pytest.mark.parametrize("entry", ["a/b", "host:port:80", "1.2.3.4.5", "user@host"])
def test_an_invalid_entry_of_the_allow_list_is_an_error(entry: str) -> None:
    """A typing mistake must not be ignored silently."""
    with pytest.raises(InvalidAddress):
        AllowList.of([entry])
