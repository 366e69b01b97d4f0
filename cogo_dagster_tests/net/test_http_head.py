"""Heads of HTTP messages: what the proxy accepts, and what it sends to the next hop."""

import pytest

from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.http_head import BadHead, Head, HeadReader
from cogo_dagster.net.request import Request


def read(raw: bytes) -> Head:
    """Return the head that *raw* begins with."""
    head = HeadReader(65_536).feed(raw)
    assert head is not None
    return head


def request(fields: str = "", line: str = "GET http://a.example/x?y=1#z HTTP/1.1") -> Request:
    """Return a request."""
    return Request.of(read(f"{line}\r\n{fields}\r\n".encode("latin-1")))


def test_hop_by_hop_fields_are_not_forwarded() -> None:
    """These are the fields of RFC 9110, section 7.6.1, and those that `Connection` names; order and case are kept."""
    fields = "X-A: 1\r\nConnection: x-b, Keep-Alive\r\nx-B: 2\r\nTE: trailers\r\nProxy-Connection: close\r\nX-c:3\r\n"
    head = request(f"Host: other\r\n{fields}").head
    assert head == b"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nX-c:3\r\nConnection: keep-alive\r\n\r\n"


@pytest.mark.parametrize("name", ["Content-Length", "content-length, close"])
def test_connection_cannot_remove_the_length_of_a_body(name: str) -> None:
    """A server would read the body as another request."""
    sent = request(f"Content-Length: 5\r\nConnection: {name}\r\n", "POST http://a.example/ HTTP/1.1")
    assert sent.body_bytes == 5
    assert b"Content-Length: 5\r\n" in sent.head


def test_connection_cannot_remove_the_coding_of_a_response() -> None:
    """A browser would wait for the end of the connection."""
    head = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n\r\n")
    assert b"Transfer-Encoding: chunked\r\n" in head.for_next_hop(head.start, connection="keep-alive")


def test_equal_fields_of_two_requests_are_independent_of_their_targets() -> None:
    """Fields of equal text are parsed once."""
    first, second = (request("Accept: */*\r\n", f"GET http://{host}/{host} HTTP/1.1") for host in ("a", "b"))
    assert (first.head, second.head) == tuple(
        f"GET /{host} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n".encode()
        for host in ("a", "b")
    )


@pytest.mark.parametrize(
    "line", ["GET http://a/\nX:y HTTP/1.1", "GET http://a/\0 HTTP/1.1", "GET http://a/\rb HTTP/1.1"]
)
def test_control_characters_in_a_request_line_are_rejected(line: str) -> None:
    """Some servers end a line at each of them."""
    with pytest.raises(BadHead, match="request line"):
        request(line=line)


@pytest.mark.parametrize(
    ("target", "authority", "path"),
    [
        ("HTTP://A.example", "a.example:80", "/"),
        ("http://a.example:8080?q", "a.example:8080", "/?q"),
        ("http://[::1]:81/a:b@c", "[::1]:81", "/a:b@c"),
        ("http://a.example/#?x", "a.example:80", "/"),
    ],
)
def test_targets_are_split_into_authority_and_path(target: str, authority: str, path: str) -> None:
    """The fragment is not sent."""
    sent = request(line=f"GET {target} HTTP/1.1")
    assert (sent.authority, sent.head.split(b" ")[1].decode()) == (authority, path)


@pytest.mark.parametrize(
    "target", ["http://", "http://user@a/", "http://a:0/", "http://a:x/", "http://[a]/", "https://a/", "/"]
)
def test_other_targets_are_rejected(target: str) -> None:
    """Each has a host without a user name."""
    with pytest.raises(HopFailed):
        request(line=f"GET {target} HTTP/1.1")


@pytest.mark.parametrize("cut", range(1, 31))
def test_a_head_may_arrive_in_two_parts(cut: int) -> None:
    """The bytes after the head are kept."""
    raw = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\nrest"
    reader = HeadReader(1_000, b"HTTP/")
    assert reader.feed(raw[:cut]) is None
    assert not reader.is_empty
    head = reader.feed(raw[cut:])
    assert head is not None
    assert (head.start, head.values("a"), head.values("c")) == ("HTTP/1.1 200 OK", ["b"], ["d"])
    assert reader.rest == b"rest"


def test_a_head_whose_lines_end_with_lf_is_rejected_before_its_end() -> None:
    """It would never end: the error says why, instead of that there was no response."""
    with pytest.raises(BadHead, match="end with LF"):
        HeadReader(65_536, b"HTTP/").feed(b"HTTP/1.1 200 OK\nX-A: 1\n\n<p>")
