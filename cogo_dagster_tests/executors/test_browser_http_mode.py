"""`BROWSER_REAL_MODE=false` gives the same results as a browser: titles, encodings, redirects, classes, evidence."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from cogo_dagster.executors.browser.charsets import as_file, decoded, page_charset
from cogo_dagster.executors.browser.markup import page_title
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, artifact, bench, names
from cogo_dagster_tests.executors.rawserver import answering
from cogo_dagster_tests.executors.site import serving
from cogo_dagster_tests.ports import accepting

KOREAN = "<title>한국어 제목</title><p>본문"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The executor without a browser."""
    options = replace(OPTIONS, real_mode=False, allowed_hosts=("127.0.0.1",))
    with serving() as site, bench(site, tmp_path_factory.mktemp("http"), options) as started:
        yield started


def reply(fields: str, body: bytes, status: str = "200 OK") -> bytes:
    """Return a response."""
    return f"HTTP/1.1 {status}\r\n{fields}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("before", "content_type"),
    [
        ("<!-- <meta charset=utf-8> --><meta charset=euc-kr>", "text/html"),
        ("<script>'<meta charset=utf-8>'</script><meta charset=euc-kr>", "text/html"),
        ("<meta name=description content='has charset=utf-8'><meta charset=euc-kr>", "text/html"),
        ("<meta data-charset=utf-8 charset=euc-kr>", "text/html"),
        ("<meta content='text/html; charset=&quot;euc-kr&quot;' http-equiv=Content-Type>", "text/html"),
        (f"<!--{'x' * 2_000}--><meta charset=euc-kr>", "text/html"),
        ("<?xml version='1.0' encoding='euc-kr'?><html>", "application/xhtml+xml"),
        ("", "text/html; charset=euc-kr, text/html"),
        ("", "text/html"),
    ],
)
def test_declarations_are_read_as_in_browsers(before: str, content_type: str) -> None:
    """Comments, scripts and other attributes declare nothing; Korean text without a declaration is recognized."""
    content = (before + KOREAN).encode("cp949")
    charset = page_charset(content, content_type)
    assert charset == "cp949"
    assert page_title(decoded(content, charset)) == "한국어 제목"
    assert page_charset(as_file(content, content_type), "text/html") in ("cp949", "utf-8")


@pytest.mark.parametrize(
    ("label", "content", "text"),
    [
        ("x-mac-cyrillic", b"\x8e\xa5", "О•"),  # noqa: RUF001 - Cyrillic
        ("iso-8859-8-i", b"\xe0\xe1", "אב"),
        ("windows-874", b"\xa1\xdb", "ก\ufffd"),
        ("iso-8859-1", b"\x81\x93", "\x81“"),
        ("x-user-defined", b"a\x8e", "a\uf78e"),
        ("hz-gb-2312", b"abc", "\ufffd"),
        ("iso-2022-jp", "日本".encode("iso2022_jp"), "日本"),
        ("windows-31j", "①".encode("cp932"), "①"),
    ],
)
def test_labels_of_the_web_are_known(label: str, content: bytes, text: str) -> None:
    """The encodings of https://encoding.spec.whatwg.org are decoded as in browsers."""
    assert decoded(content, page_charset(content, f"text/html; charset={label}")) == text


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title>\n a \t b </title>", "a b"),
        ("<svg><title>of the image</title></svg><title>yes</title>", "yes"),
        ("<svg/><title>yes</title>", "yes"),
        ("<!-- <title>no</title> --><title>yes</title>", "yes"),
        ("<script>'<title>no</title>'</script><title>yes</title>", "yes"),
        ("<textarea><title>no</title></textarea><title>yes</title>", "yes"),
        ("<titlebar>no</titlebar><title lang='a>b'>yes</title>", "yes"),
        ("<title>to the end", "to the end"),
        ("<TITLE>a<b>&amp;</TITLE>", "a<b>&"),
        ("<p>none", None),
    ],
)
def test_the_title_is_that_of_the_document(page: str, title: str | None) -> None:
    """Only the element of the document counts, and spaces are joined as in browsers."""
    assert page_title(page) == title


def test_only_xhtml_and_svg_have_a_title_in_xml() -> None:
    """Another XML document has none."""
    assert page_title("<?xml version='1.0'?><svg><title><![CDATA[a<b]]></title></svg>", is_xml=True) == "a<b"
    assert page_title("<rss><title>x</title></rss>", is_xml=True) is None


@pytest.mark.parametrize("part", ["<a ", '<a"', "<a b=", "<title", "<", "<!--", "<meta ", "<a b='"])
def test_reading_a_page_takes_linear_time(part: str) -> None:
    """Pages of half a megabyte made to slow down a parser are read at once."""
    page = part * (500_000 // len(part))
    started = time.process_time()
    page_title(page)
    page_charset(page.encode(), "")
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ("Content-Type: application/zip", b"PK"),
        ("Content-Type: application/pdf", b"%PDF"),
        ("Content-Type: text/csv", b"a,b"),
        ("Content-Type: text/html\r\nContent-Disposition: attachment", b"<p>"),
        ("X-A: 1", b"\0\1\2"),
    ],
)
def test_a_download_is_no_page(http: Bench, fields: str, body: bytes) -> None:
    """What a browser saves as a file fails as in a browser, and is not kept as page.html."""
    with answering(reply(fields, body)) as authority:
        error = http.fail({"url": f"http://{authority}/"})
    assert (error.error_class, error.retryable) == ("download", False)
    assert names(error) == {"evidence.json"}


def test_an_image_is_noted(http: Bench) -> None:
    """A browser shows an image; without one, nothing is saved, and a note says why."""
    with answering(reply("Content-Type: image/png", b"\x89PNG")) as authority:
        found = http.run({"url": f"http://{authority}/"})
    assert names(found) == set()
    assert found.result["notes"][1] == "page.html was not saved: the document is image/png, not text."


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_text_has_no_title(http: Bench, kind: str) -> None:
    """Text that looks like HTML is not HTML."""
    with answering(reply(f"Content-Type: {kind}", b'"<title>no</title>"')) as authority:
        found = http.run({"url": f"http://{authority}/"})
    assert found.result["title"] is None
    assert names(found) == {"page.html"}


def test_a_failure_keeps_the_page_and_evidence(http: Bench) -> None:
    """The page of an error status is kept, and evidence.json has the step and why other files are missing."""
    error = http.fail({"url": http.site.url("/status/503")})
    assert (error.error_class, error.delay_seconds) == ("http_status", 7.0)
    assert artifact(error, "page.html") == b"<title>Sorry</title>"
    record = json.loads(artifact(error, "evidence.json"))
    assert record["missing"] == {"screenshot.png": "BROWSER_REAL_MODE is false."}
    assert [step["error"] for step in record["steps"]] == [error.message]


HTML = "Content-Type: text/html"
CLASSES = {
    "status": (b"HTTP/1.1 99 X\r\n\r\n", "not_http", False),
    "line ends": (b"HTTP/1.1 200 OK\nContent-Type: text/html\n\nx", "not_http", False),
    "length": (f"HTTP/1.1 200 OK\r\n{HTML}\r\nContent-Length: -5\r\n\r\nx".encode(), "not_http", False),
    "chunks": (f"HTTP/1.1 200 OK\r\n{HTML}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), "not_http", False),
    "lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "headers", False),
    "many headers": (reply(f"{HTML}\r\nX: {'v' * 200_000}", b"x"), "headers", False),
    "locations": (reply("Location: /a\r\nLocation: /b", b"", "302 Found"), "headers", False),
    "br": (reply(f"{HTML}\r\nContent-Encoding: gzip, zstd", b"x"), "body", False),
    "host": (reply("Location: http://", b"", "302 Found"), "invalid_url", False),
    "address": (reply("Location: http://[::1", b"", "302 Found"), "invalid_url", False),
    "port": (reply("Location: http://127.0.0.1:99999/", b"", "302 Found"), "invalid_url", False),
    "control": (reply("Location: /\x01", b"", "302 Found"), "invalid_url", False),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_broken_responses_have_classes(http: Bench, kind: str) -> None:
    """A response that no retry can change is permanent."""
    content, error_class, retryable = CLASSES[kind]
    with answering(content) as authority:
        error = http.fail({"url": f"http://{authority}/"})
    assert (error.error_class, error.retryable) == (error_class, retryable), error.message


@pytest.mark.parametrize("location", ["http:/list", "http:list", "\\list"])
def test_unusual_locations_are_followed_as_in_browsers(http: Bench, location: str) -> None:
    """These lead to the same server."""
    found = http.run({"url": http.site.url(f"/to?{location}")})
    assert found.result["url"] == http.site.url("/list")


def test_a_redirect_without_a_target_is_a_page(http: Bench) -> None:
    """A browser shows the body."""
    with answering(reply(f"{HTML}\r\nLocation:", b"<title>Here</title>", "302 Found")) as authority:
        found = http.run({"url": f"http://{authority}/"})
    assert (found.result["status"], found.result["title"]) == (302, "Here")


def test_the_old_name_of_gzip_is_decoded(http: Bench) -> None:
    """`x-gzip` is gzip."""
    body = gzip.compress(b"<title>Packed</title>")
    with answering(reply(f"{HTML}\r\nContent-Encoding: x-gzip", body)) as authority:
        assert http.run({"url": f"http://{authority}/"}).result["title"] == "Packed"


def test_a_page_that_arrives_slowly_ends_at_the_timeout(http: Bench) -> None:
    """The timeout is that of the whole page, as in a browser, not of each read."""
    ended = threading.Event()

    def trickle(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65_536)
            client.sendall(f"HTTP/1.1 200 OK\r\n{HTML}\r\n\r\n".encode())
            while not ended.wait(0.02):
                client.sendall(b"<p>")

    with accepting(trickle) as port:
        started = time.monotonic()
        error = http.fail({"url": f"http://127.0.0.1:{port}/", "timeout_ms": 500})
        ended.set()
    assert (error.error_class, error.retryable) == ("timeout", True)
    assert "was not received completely within 0.5 s" in error.message
    assert time.monotonic() - started < 5
