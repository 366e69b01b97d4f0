"""Notes about page events that a job does not handle, and payload values that are rejected."""

import contextlib
import json
from typing import Any

import pytest

from cogo_dagster.executors.browser import BrowserOptions, evidence
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload
from cogo_dagster_tests.executors.bench import Bench, names

URL = "https://example.com/"
NO_FILES = {"screenshot": False, "html": False}
NOTED = {
    "download": ("<a id='{id}' href='/download'>x</a>", "The download x.bin from "),
    "attribute": ("<a id='{id}' href='/list' download='l.html'>x</a>", "The download l.html from "),
    "blob": (
        "<a id='{id}' download='b.txt'>x</a><script>{id}.href = URL.createObjectURL(new Blob(['x']))</script>",
        "The download b.txt from blob:",
    ),
    "tab": ("<a id='{id}' target='_blank' href='/list?tab'>x</a>", "opened a new tab, which was ignored: {list}?tab"),
    "popup": (
        "<button id='{id}' onclick='window.open(\"/list?popup\")'>x</button>",
        "The page opened a new tab, which was ignored: {list}?popup",
    ),
    "alert": (
        "<button id='{id}' onclick='window.alert(\"hello\")'>x</button>",
        "The alert dialog 'hello' was dismissed",
    ),
    "prompt": (
        "<button id='{id}' onclick='prompt(\"who?\")'>x</button>",
        "The prompt dialog 'who?' was dismissed",
    ),
    "file": ("<input id='{id}' type='file'>", "The page opened a file dialog, which stayed empty"),
    "worker": ("<button id='{id}' onclick='navigator.serviceWorker.register(\"/s.js\")'>x</button>", "service worker"),
}
"""An element by kind of event, and a part of the note."""


def test_events_that_a_job_does_not_handle_are_noted(shared: Bench) -> None:
    """The job continues, and its result has one note for each of the events."""
    elements = "".join(element.format(id=f"on_{kind}") for kind, (element, _) in NOTED.items())
    shared.site.pages["/beside"] = f"<title>Beside</title>{elements}"
    clicks: list[dict[str, Any]] = []
    for kind in NOTED:
        clicks += [{"do": "click", "selector": f"#on_{kind}"}, {"do": "wait", "ms": 150}]
    notes = shared.run({"url": shared.site.url("/beside"), "actions": clicks, **NO_FILES}).result["notes"]
    expected = [message.format(list=shared.site.url("/list")) for _, message in NOTED.values()]
    assert [sum(message in note for note in notes) for message in expected] == [1] * len(expected), notes
    assert len(notes) == len(expected)


def test_many_of_a_kind_are_counted(shared: Bench) -> None:
    """Of many events of a kind, three are noted and the others are counted; screenshot and HTML can be turned off."""
    shared.site.pages["/beside"] = "<script>for (let i = 0; i < 12; i++) alert(i)</script>"
    found = shared.run({"url": shared.site.url("/beside"), **NO_FILES})
    notes = found.result["notes"]
    assert names(found) == set()
    assert len(notes) == 4
    assert notes[-1] == "9 more events of this kind: dialog."


@pytest.mark.parametrize(("dialogs", "answer"), [("dismiss", "no"), ("accept", "yes"), (None, "no")])
def test_dialogs_are_dismissed_or_accepted(shared: Bench, dialogs: str | None, answer: str) -> None:
    """Dialogs are dismissed unless the payload accepts them."""
    shared.site.pages["/confirm"] = (
        "<button id='a' onclick=\"p.textContent = confirm('delete?') ? 'yes' : 'no'\">x</button><p id='p'>…</p>"
    )
    actions = [{"do": "click", "selector": "#a"}, {"do": "extract", "name": "p", "selector": "#p"}]
    payload: dict[str, Any] = {"url": shared.site.url("/confirm"), "actions": actions, **NO_FILES}
    found = shared.run(payload | ({"dialogs": dialogs} if dialogs else {}))
    assert found.result["extracted"] == {"p": answer}
    assert "The confirm dialog 'delete?' was " in found.result["notes"][0]


def test_beforeunload_does_not_block_a_navigation(shared: Bench) -> None:
    """A `beforeunload` dialog does not block the next navigation."""
    shared.site.pages["/sticky"] = "<input id='a'><script>onbeforeunload = e => e.preventDefault()</script>"
    actions = [{"do": "fill", "selector": "#a", "value": "x"}, {"do": "goto", "url": shared.site.url("/list")}]
    assert shared.run({"url": shared.site.url("/sticky"), "actions": actions}).result["title"] == "List"


def test_errors_of_earlier_documents_are_recorded(shared: Bench) -> None:
    """Console and page errors of a document that a script has left are in the record of the job."""
    shared.site.pages["/before"] = (
        "<script>console.error('before'); setTimeout(() => { throw Error('thrown') });"
        "setTimeout(() => { location = '/list' }, 20)</script>"
    )
    actions = [{"do": "wait_for", "selector": "a"}]
    found = shared.run({"url": shared.site.url("/before"), "actions": actions, **NO_FILES}).result
    assert (found["console_errors"], found["page_errors"]) == (["before"], ["thrown"])


@pytest.fixture
def executor() -> BrowserExecutor:
    """An executor that is not started: validation needs no browser."""
    return BrowserExecutor(BrowserOptions())


def payload_error(executor: BrowserExecutor, payload: dict[str, Any]) -> str:
    """Return the error message of an invalid payload."""
    with pytest.raises(InvalidPayload) as error:
        executor.parse("browser", {"url": URL, **payload})
    return str(error.value)


UNSENT = ["Accept", "Referer", "Set-Cookie", "cookie2", "Keep-Alive", "Trailer", "TE", "Upgrade", "Proxy-X", "Host"]


@pytest.mark.parametrize("name", UNSENT)
def test_a_header_that_is_not_sent_is_rejected(executor: BrowserExecutor, name: str) -> None:
    """A header that the browser would not send is rejected at enqueue, by name."""
    assert name in payload_error(executor, {"extra_headers": {name: "x"}})


def test_a_header_that_another_field_sets_is_rejected(executor: BrowserExecutor) -> None:
    """A header is rejected if another field or another spelling sets it too: one value would be lost."""
    assert "locale and" in payload_error(executor, {"locale": "ko-KR", "extra_headers": {"Accept-Language": "en"}})
    assert "user_agent and" in payload_error(executor, {"user_agent": "a", "extra_headers": {"user-agent": "b"}})
    assert "given twice" in payload_error(executor, {"extra_headers": {"X-A": "1", "x-a": "2"}})
    assert "printable ASCII" in payload_error(executor, {"extra_headers": {"X-A": "한글"}})


SENT = [
    "Accept-Language",
    "User-Agent",
    "Authorization",
    "X-Team",
    "Origin",
    "Cache-Control",
    "DNT",
    "Sec-CH-UA",
    "Via",
]


def test_accepted_headers_are_sent(shared: Bench) -> None:
    """Every accepted header arrives at the site."""
    sent = {name: f"cogo {number}" for number, name in enumerate(SENT)}
    payload = {"url": shared.site.url("/list"), "extra_headers": sent, **NO_FILES}
    shared.executor.parse("browser", payload)
    shared.run(payload)
    arrived = shared.site.headers["/list"]
    assert {name: arrived.get(name.lower()) for name in SENT} == sent


def test_cookies_are_sent_to_the_url_of_the_job(shared: Bench, neighbour: Any) -> None:
    """The cookies of the extra header Cookie are sent to the job's URL and are visible to its page."""
    shared.site.pages["/cookies"] = "<p id='p'></p><script>p.textContent = document.cookie</script>"
    actions = [{"do": "extract", "name": "p", "selector": "#p"}]
    payload = {"url": shared.site.url("/cookies"), "extra_headers": {"cookie": "a=b; c=d=e"}, "actions": actions}
    found = shared.run(payload | NO_FILES)
    assert shared.site.headers["/cookies"]["cookie"] == "a=b; c=d=e"
    assert found.result["extracted"] == {"p": "a=b; c=d=e"}
    assert "a=b" not in json.dumps(shared.run({"url": shared.site.url("/cookies")}).result)


@pytest.mark.parametrize("value", ["", "a", "a=b;;", "=b", "a=b,c; d", "__Host-x=1 2\t"])
def test_a_malformed_cookie_header_is_rejected(executor: BrowserExecutor, value: str) -> None:
    """A malformed Cookie header is rejected: it would be sent only in part."""
    assert "Cookie" in payload_error(executor, {"extra_headers": {"Cookie": value}})


@pytest.mark.parametrize(
    "name", ["Asia/Seuol", "asia/seoul", "localtime", "Factory", "KST", "UTC+9", "../UTC", "", " UTC"]
)
def test_an_unknown_time_zone_is_rejected(executor: BrowserExecutor, name: str) -> None:
    """An unknown time zone is rejected at enqueue, with a suggestion."""
    assert "is not a time zone" in payload_error(executor, {"timezone": name})
    assert "the nearest name is Asia/Seoul" in payload_error(executor, {"timezone": "Asia/Seuol"})
    assert "the nearest name is UTC" in payload_error(executor, {"timezone": "utc"})


@pytest.mark.parametrize("name", ["Asia/Seoul", "UTC", "Etc/GMT+9", "America/Argentina/Buenos_Aires", "Asia/Calcutta"])
def test_existing_time_zones_are_accepted(executor: BrowserExecutor, name: str) -> None:
    """Existing time zones are accepted, including old names."""
    assert executor.parse("browser", {"url": URL, "timezone": name})


BAD_LOCALES = ["ko_KR", "xx", "zz-ZZ", "ko-ZZ", "ko-KRR", "en-Xxxx", "foo-bar", "C", "korean", "ko-", "", "en-US-"]


@pytest.mark.parametrize("tag", BAD_LOCALES)
def test_an_unknown_locale_is_rejected(executor: BrowserExecutor, tag: str) -> None:
    """An unknown locale is rejected at enqueue; the message does not show a regular expression."""
    message = payload_error(executor, {"locale": tag})
    assert "is not a locale" in message
    assert "pattern" not in message
    assert "write it like ko-KR" in payload_error(executor, {"locale": "ko_KR.UTF-8"})


LOCALES = ["ko", "ko-KR", "en-us", "zh-Hant-TW", "es-419", "gsw-CH", "sr-Latn-RS", "ca-ES-valencia", "th-TH-u-nu-thai"]


@pytest.mark.parametrize("tag", LOCALES)
def test_existing_locales_are_accepted(executor: BrowserExecutor, tag: str) -> None:
    """Locales with script, region, variant and extension are accepted."""
    assert executor.parse("browser", {"url": URL, "locale": tag})


FLOODS = {
    "alerts": "<script>setTimeout(() => { for (;;) alert('again') })</script>",
    "popups": "<script>setInterval(() => { for (let i = 0; i < 4; i++) window.open('/list') }, 100)</script>",
    "downloads": "<a id='a' href='/download' download></a><script>setInterval(() => a.click(), 5)</script>",
    "failed requests": "<script>setInterval(() => { for (let i = 0; i < 10; i++) fetch('/cut') }, 10)</script>",
    "console": "<script>setInterval(() => { for (let i = 0; i < 5; i++) console.error('x'.repeat(999)) }, 9)</script>",
    "workers": "<script>setInterval(() => navigator.serviceWorker.register('/s.js'), 1)</script>",
}


async def result_or_error(shared: Bench, payload: dict[str, Any]) -> Any:
    """Run one attempt of at most a second; return its result or its error."""
    try:
        return await shared.attempt(payload, timeout_seconds=1)
    except ExecutionFailed as error:
        return error


def next_status(shared: Bench) -> int:
    """Run another job; a second attempt is allowed while the browser closes many tabs."""
    with contextlib.suppress(ExecutionFailed):
        return int(shared.run({"url": shared.site.url(), **NO_FILES}).result["status"])
    return int(shared.run({"url": shared.site.url(), **NO_FILES}).result["status"])


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_bounded_and_the_next_job_works(shared: Bench, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of events ends in time with a bounded record, and the next job works."""
    monkeypatch.setattr(evidence, "FILE_TIMEOUT_SECONDS", 0.5)  # a flood uses both cores until its page is closed
    shared.site.pages["/flood"] = f"<title>Flood</title>{FLOODS[kind]}"
    payload = {"url": shared.site.url("/flood"), "actions": [{"do": "wait", "ms": 300}]}
    ended = shared.do(result_or_error(shared, payload))
    assert not isinstance(ended, ExecutionFailed) or ended.error_class in ("timeout", "browser_gone", "page_crash")
    record = ended.detail if isinstance(ended, ExecutionFailed) else ended.result
    assert len(json.dumps(record)) < 50_000
    assert next_status(shared) == 200
