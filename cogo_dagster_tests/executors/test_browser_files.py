"""Saved pages, screenshots and PDFs: encodings, full pages, paper sizes, lazy loading."""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from cogo_dagster.executors.browser import screenshots
from cogo_dagster.executors.browser.charsets import as_file, decoded, page_charset
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, artifact, bench
from cogo_dagster_tests.executors.png import pixels
from cogo_dagster_tests.executors.rawserver import answering

HANGUL = "<html><head>{meta}<title>한국어 제목</title></head><body><p>본문 뷁 …</p></body></html>"
META = {
    "equiv": '<meta http-equiv="Content-Type" content="text/html; charset={}">',
    "short": "<meta charset={}>",
    "none": "",
}
ENCODED = [
    ("cp949", "euc-kr", "equiv", ""),
    ("cp949", "ks_c_5601-1987", "short", ""),
    ("cp949", "", "none", "euc-kr"),
    ("cp949", "utf-8", "short", "EUC-KR"),
    ("utf-8", "", "none", "utf-8"),
    ("utf-8", "utf-8", "short", ""),
    ("utf-8-sig", "euc-kr", "short", ""),
    ("utf-16", "", "none", ""),
    ("utf-16-le", "", "none", "utf-16le"),
]


@pytest.fixture(scope="module")
def http(shared: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The executor without a browser."""
    options = replace(OPTIONS, real_mode=False, allowed_hosts=("127.0.0.1",))
    with bench(shared.site, tmp_path_factory.mktemp("http"), options) as started:
        yield started


def answer(encoding: str, named: str, meta: str, header: str) -> bytes:
    """Return a response with a page in an encoding that the document, the header, or neither declares."""
    body = HANGUL.format(meta=META[meta].format(named)).encode(encoding)
    kind = f"text/html; charset={header}" if header else "text/html"
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("mode", ["browser", "http"])
def test_saved_html_keeps_its_text(open_bench: Bench, http: Bench, mode: str) -> None:
    """Saved pages that are served without a charset in the header have the same title and text."""
    runs = open_bench if mode == "browser" else http
    payload: dict[str, Any] = {"screenshot": False, "html": False, "actions": []}
    with ExitStack() as servers:
        for encoded in ENCODED:
            with answering(answer(*encoded)) as authority:
                found = runs.run({"url": f"http://{authority}/", "screenshot": False})
            assert found.result["title"] == "한국어 제목", encoded
            page = artifact(found, "page.html")
            again = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n".encode() + page
            url = f"http://{servers.enter_context(answering(again))}/"
            name = f"page_{len(payload['actions'])}"
            payload["actions"] += [
                {"do": "goto", "url": url},
                {"do": "extract", "name": f"title_of_{name}", "selector": "title"},
                {"do": "extract", "name": name, "selector": "p"},
            ]
        opened = open_bench.run(payload | {"url": open_bench.site.url()}).result["extracted"]
    texts = list(opened.values())
    assert list(zip(ENCODED, texts[::2], texts[1::2], strict=True)) == [
        (encoded, "한국어 제목", "본문 뷁 …") for encoded in ENCODED
    ]


@pytest.mark.parametrize(
    ("content", "content_type", "charset"),
    [
        (b"<p>x", "", "utf-8"),
        (b"<p>\xe9", "", "cp1252"),
        (b"<p>x", "text/html; charset=latin1", "cp1252"),
        (b"<p>x", 'text/html; charset="Shift_JIS"', "cp932"),
        (b"<p>x", "text/html; charset=gb2312", "gb18030"),
        (b"<p>x", "text/html; charset=nonsense", "utf-8"),
        (b"<p>x", "text/html; charset=base64", "utf-8"),
        (b"<p>x", "text/html; charset=utf-7", "utf-8"),
        (b"<meta charset=x-sjis>", "", "cp932"),
        (b"<meta charset=utf-16>", "", "utf-8"),
        (b"\xff\xfe<\0", "text/html; charset=euc-kr", "utf-16-le"),
    ],
)
def test_encodings_are_determined_as_in_browsers(content: bytes, content_type: str, charset: str) -> None:
    """The byte order mark wins over the header, and the header over the document; labels are those of the web."""
    assert page_charset(content, content_type) == charset


def test_bytes_that_decode_without_the_header_are_unchanged() -> None:
    """Bytes that decode without the header are kept; others become UTF-8 with a byte order mark."""
    named = "<meta charset=euc-kr>한글".encode("cp949")
    assert as_file(named, "text/html") == named
    assert as_file(b"<p>x", "text/html; charset=utf-8") == b"<p>x"
    assert as_file("한글".encode("cp949"), "text/html; charset=euc-kr") == b"\xef\xbb\xbf" + "한글".encode()
    assert decoded(b"\xef\xbb\xbfx", "utf-8") == "x"


def rows(png: bytes) -> tuple[int, int, bytes, bytes]:
    """Return width, height and the first pixel of the first and of the last row of a PNG (8 bit RGB or RGBA)."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) in ((8, 2), (8, 6))
    parts, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            parts.append(png[at + 8 : at + 8 + length])
        at += 12 + length
    size = 3 if colour == 2 else 4
    raw, stride = zlib.decompress(b"".join(parts)), width * size + 1
    above = bytes(size)
    first = above
    for row in range(height):
        kind, pixel = raw[row * stride], raw[row * stride + 1 : row * stride + 1 + size]
        if kind in (2, 4):  # up; Paeth of the first pixel is the pixel above
            pixel = bytes((a + b) % 256 for a, b in zip(pixel, above, strict=True))
        elif kind == 3:  # average
            pixel = bytes((a + b // 2) % 256 for a, b in zip(pixel, above, strict=True))
        above = pixel
        first = pixel if row == 0 else first
    return width, height, first[:3], above[:3]


TALL = (
    "<title>Tall</title><body style='margin:0'><div style='height:{height}px;"
    "background:linear-gradient(red,blue)'></div><div style='height:100px;background:lime'></div>"
)


@pytest.mark.parametrize("height_px", [16_300, 30_000, 59_900])
def test_a_full_page_screenshot_is_complete(shared: Bench, height_px: int) -> None:
    """A full-page screenshot is complete, even above the 16,384 pixels of older Chromium versions."""
    shared.site.pages["/higher"] = TALL.format(height=height_px)
    found = shared.run(
        {"url": shared.site.url("/higher"), "screenshot": True, "full_page": True, "viewport": {"width": 100}}
    )
    width, height, first, last = rows(artifact(found, "screenshot.png"))
    assert (width, height, last) == (100, height_px + 100, b"\0\xff\0")
    assert first[0] > 250
    assert found.result["notes"] == []


def test_a_page_above_the_height_limit_is_cut_and_noted(shared: Bench) -> None:
    """A screenshot ends where the browser would render blank rows, and a note says so."""
    shared.site.pages["/higher"] = TALL.format(height=100_000)
    found = shared.run(
        {"url": shared.site.url("/higher"), "screenshot": True, "full_page": True, "viewport": {"width": 100}}
    )
    assert rows(artifact(found, "screenshot.png"))[1] == screenshots.MAX_SCREENSHOT_PX
    assert found.result["notes"] == ["screenshot.png shows the upper 60000 of 100100 pixels."]


def test_a_screenshot_above_the_file_limit_is_cut(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A screenshot above the file limit shows the part that fits, with a note, and does not fail."""
    monkeypatch.setattr("cogo_dagster.executors.browser.screenshots.MAX_FILE_BYTES", 4_000)
    shared.site.pages["/higher"] = TALL.format(height=8_000)
    found = shared.run(
        {"url": shared.site.url("/higher"), "screenshot": True, "full_page": True, "viewport": {"width": 300}}
    )
    assert rows(artifact(found, "screenshot.png"))[1] < 8_000
    assert "shows the upper" in found.result["notes"][0]


@pytest.mark.parametrize(
    ("style", "points"),
    [("@page{size:A4}", (595, 842)), ("@page{size:A5 landscape}", (595, 420)), ("", (612, 792))],
)
def test_a_pdf_has_the_size_of_the_page_rule(shared: Bench, style: str, points: tuple[int, int]) -> None:
    """The type `browser.pdf` leaves page.pdf, which has the size of the `@page` rule; without one it is Letter."""
    shared.site.pages["/paper"] = f"<title>Paper</title><style>{style}</style><p>one page"
    found = shared.run({"url": shared.site.url("/paper")}, type="browser.pdf")
    assert artifact(found, "page.pdf").startswith(b"%PDF-")
    box = re.search(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", artifact(found, "page.pdf"))
    assert box is not None
    assert tuple(round(float(side)) for side in box.groups()) == points


LAZY = (
    "<title>Lazy</title>"
    + "".join(f"<div class=z style='height:900px'>empty {number}</div>" for number in range(6))
    + "<img loading=lazy src='/picture' onload=\"z.textContent = 'image'\"><p id=z>none</p><script>"
    "const o = new IntersectionObserver(es => es.forEach(e => { if (e.isIntersecting)"
    " e.target.textContent = 'loaded' }));"
    "document.querySelectorAll('.z').forEach(z => o.observe(z))</script>"
)


@pytest.mark.parametrize(("extra", "loaded"), [({"scroll": True}, {6}), ({}, {0, 1})])
def test_lazy_content_is_loaded_with_scroll(open_bench: Bench, extra: dict[str, Any], loaded: set[int]) -> None:
    """With scroll, lazy content is loaded before the actions begin; without it, at most what is in the window is."""
    open_bench.site.pages["/lazy"] = LAZY
    actions = [
        {"do": "extract", "name": "z", "selector": ".z", "all": True},
        {"do": "extract", "name": "image", "selector": "#z"},
    ]
    payload = {"url": open_bench.site.url("/lazy"), "full_page": True, "actions": actions, **extra}
    found = open_bench.run(payload).result["extracted"]
    assert found["z"].count("loaded") in loaded
    assert (found["image"] == "image") is bool(extra)


def test_the_action_scroll_loads_lazy_content(shared: Bench) -> None:
    """The action `scroll` loads lazy content that earlier actions added."""
    shared.site.pages["/lazy"] = LAZY
    actions = [{"do": "scroll"}, {"do": "extract", "name": "z", "selector": ".z", "all": True}]
    found = shared.run({"url": shared.site.url("/lazy"), "actions": actions})
    assert found.result["extracted"]["z"] == ["loaded"] * 6


@pytest.mark.parametrize("script", ["onscroll = ", "setTimeout("])
def test_a_page_that_navigates_while_it_is_scrolled_is_followed(shared: Bench, script: str) -> None:
    """The document that it opens is scrolled too, and the job succeeds."""
    leave = "() => { location = '/list' }"
    shared.site.pages["/leave"] = (
        f"<title>Leave</title><div style='height:9000px'></div><script>{script}{leave}{')' * ('(' in script)}</script>"
    )
    assert shared.run({"url": shared.site.url("/leave"), "scroll": True}).result["title"] == "List"


def test_images_that_do_not_load_after_scrolling_are_noted(shared: Bench) -> None:
    """The note does not say that the end of the page was not reached."""
    shared.site.pages["/late"] = "<title>Late</title><img src='/hang' width=9 height=9>"
    payload = {"url": shared.site.url("/late"), "wait_until": "domcontentloaded", "timeout_ms": 1_000, "scroll": True}
    assert shared.run(payload).result["notes"] == ["Some images had not loaded 0.8 s after scrolling began."]


def test_a_screenshot_in_full_screen_has_the_size_of_the_window(shared: Bench) -> None:
    """A page that shows an element in full screen is captured in the size of the viewport."""
    shared.site.pages["/full"] = (
        "<button id='b' onclick='document.body.requestFullscreen().then(() => { b.id = \"full\" })'>x</button>"
    )
    actions = [{"do": "click", "selector": "#b"}, {"do": "wait_for", "selector": "#full"}]
    found = shared.run({"url": shared.site.url("/full"), "actions": actions, "screenshot": True})
    assert pixels(artifact(found, "screenshot.png"))[:2] == (1280, 720)


def test_scrolling_an_endless_page_stops(shared: Bench) -> None:
    """An endless page is scrolled up to the limit, with a note, and the job succeeds."""
    shared.site.pages["/endless"] = (
        "<title>Endless</title><div id=d style='height:9000px'></div>"
        "<script>onscroll = () => d.style.height = d.offsetHeight + 9000 + 'px'</script>"
    )
    found = shared.run({"url": shared.site.url("/endless"), "scroll": True, "timeout_ms": 5_000})
    assert "before the end of the page" in found.result["notes"][0]
