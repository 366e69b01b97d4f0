"""What a page does and a job does not act on is noted; what cannot be sent or does not exist is rejected."""

import contextlib
import json
from typing import Any

import pytest

from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload
from cogo_dagster_tests.executors.bench import Bench

URL = "https://example.com/"
CLICK = [{"do": "click", "selector": "#a"}, {"do": "wait", "ms": 300}]
NOTED = {
    "download": ("<a id='a' href='/download'>x</a>", "The download x.bin of "),
    "download attribute": ("<a id='a' href='/list' download='l.html'>x</a>", "The download l.html of "),
    "download of a blob": (
        "<a id='a' download='b.txt'>x</a><script>a.href = URL.createObjectURL(new Blob(['x']))</script>",
        "The download b.txt of blob:",
    ),
    "tab": ("<a id='a' target='_blank' href='/list'>x</a>", "A new tab was opened and not followed: "),
    "popup": ("<button id='a' onclick='window.open(\"/list\")'>x</button>", "A new tab was opened and not followed: "),
    "alert": ("<button id='a' onclick='alert(\"hello\")'>x</button>", "The dialog alert 'hello' was dismissed"),
    "prompt": ("<button id='a' onclick='prompt(\"who?\")'>x</button>", "The dialog prompt 'who?' was dismissed"),
    "service worker": (
        "<button id='a' onclick='navigator.serviceWorker.register(\"/s.js\")'>x</button>",
        "service worker",
    ),
}


@pytest.mark.parametrize("kind", NOTED)
def test_what_a_page_does_beside_the_job_is_noted(shared: Bench, kind: str) -> None:
    """The job goes on, and its result has a sentence about it."""
    page, sentence = NOTED[kind]
    shared.site.pages["/beside"] = f"<title>Beside</title>{page}"
    found = shared.run({"url": shared.site.url("/beside"), "actions": CLICK})
    assert [note for note in found.result["notes"] if sentence in note], found.result["notes"]
    assert len(found.result["notes"]) == 1


def test_a_quiet_page_has_no_notes(shared: Bench) -> None:
    """Nothing happened, nothing is said."""
    assert shared.run({"url": shared.site.url("/list")}).result["notes"] == []


def test_many_of_a_kind_are_counted(shared: Bench) -> None:
    """Three sentences and a number, however many there were."""
    shared.site.pages["/beside"] = "<script>for (let i = 0; i < 12; i++) alert(i)</script>"
    notes = shared.run({"url": shared.site.url("/beside")}).result["notes"]
    assert len(notes) == 4
    assert notes[-1] == "9 more of this kind: dialog."


@pytest.mark.parametrize(("dialogs", "answer"), [("dismiss", "no"), ("accept", "yes"), (None, "no")])
def test_dialogs_are_answered_as_the_payload_says(shared: Bench, dialogs: str | None, answer: str) -> None:
    """Dismissed unless it says otherwise."""
    shared.site.pages["/confirm"] = (
        "<button id='a' onclick=\"p.textContent = confirm('delete?') ? 'yes' : 'no'\">x</button><p id='p'>…</p>"
    )
    actions = [{"do": "click", "selector": "#a"}, {"do": "extract", "name": "p", "selector": "#p"}]
    payload: dict[str, Any] = {"url": shared.site.url("/confirm"), "actions": actions}
    found = shared.run(payload | ({"dialogs": dialogs} if dialogs else {}))
    assert found.result["extracted"] == {"p": answer}
    assert "The dialog confirm 'delete?' was " in found.result["notes"][0]


def test_a_page_that_asks_before_it_is_left_is_left(shared: Bench) -> None:
    """`beforeunload` does not hold the next navigation."""
    shared.site.pages["/sticky"] = "<input id='a'><script>onbeforeunload = e => e.preventDefault()</script>"
    actions = [{"do": "fill", "selector": "#a", "value": "x"}, {"do": "goto", "url": shared.site.url("/list")}]
    assert shared.run({"url": shared.site.url("/sticky"), "actions": actions}).result["title"] == "List"


@pytest.fixture
def executor() -> BrowserExecutor:
    """Never started: validation needs no browser."""
    return BrowserExecutor(BrowserOptions())


def refusal(executor: BrowserExecutor, payload: dict[str, Any]) -> str:
    """Return the sentence with which a payload is rejected."""
    with pytest.raises(InvalidPayload) as refused:
        executor.parse("browser", {"url": URL, **payload})
    return str(refused.value)


UNSENT = ["Accept", "Referer", "Set-Cookie", "cookie2", "Keep-Alive", "Trailer", "TE", "Upgrade", "Proxy-X", "Host"]


@pytest.mark.parametrize("name", UNSENT)
def test_a_header_that_is_not_sent_is_rejected(executor: BrowserExecutor, name: str) -> None:
    """At enqueue, with its name."""
    assert name in refusal(executor, {"extra_headers": {name: "x"}})


def test_a_header_that_another_field_sets_is_rejected(executor: BrowserExecutor) -> None:
    """One of the two would be lost, as would one of two spellings."""
    assert "locale and" in refusal(executor, {"locale": "ko-KR", "extra_headers": {"Accept-Language": "en"}})
    assert "user_agent and" in refusal(executor, {"user_agent": "a", "extra_headers": {"user-agent": "b"}})
    assert "given twice" in refusal(executor, {"extra_headers": {"X-A": "1", "x-a": "2"}})
    assert "printable ASCII" in refusal(executor, {"extra_headers": {"X-A": "한글"}})


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


@pytest.mark.parametrize("name", SENT)
def test_a_header_that_is_taken_is_sent(shared: Bench, name: str) -> None:
    """As the site sees it."""
    payload = {"url": shared.site.url("/list"), "extra_headers": {name: "cogo"}, "screenshot": False, "html": False}
    shared.executor.parse("browser", payload)
    shared.run(payload)
    assert shared.site.headers["/list"][name.lower()] == "cogo"


def test_cookies_go_to_the_first_site(shared: Bench, neighbour: Any) -> None:
    """The extra header Cookie is sent to the address of the job, and stays with the page's own cookies."""
    shared.site.pages["/cookies"] = "<p id='p'></p><script>p.textContent = document.cookie</script>"
    actions = [{"do": "extract", "name": "p", "selector": "#p"}]
    payload = {"url": shared.site.url("/cookies"), "extra_headers": {"cookie": "a=b; c=d=e"}, "actions": actions}
    found = shared.run(payload)
    assert shared.site.headers["/cookies"]["cookie"] == "a=b; c=d=e"
    assert found.result["extracted"] == {"p": "a=b; c=d=e"}
    assert "a=b" not in json.dumps(shared.run({"url": shared.site.url("/cookies")}).result)


@pytest.mark.parametrize("value", ["", "a", "a=b;;", "=b", "a=b,c; d", "__Host-x=1 2\t"])
def test_a_cookie_header_that_is_none_is_rejected(executor: BrowserExecutor, value: str) -> None:
    """It would be sent in part only."""
    assert "Cookie" in refusal(executor, {"extra_headers": {"Cookie": value}})


@pytest.mark.parametrize(
    "name", ["Asia/Seuol", "asia/seoul", "localtime", "Factory", "KST", "UTC+9", "../UTC", "", " UTC"]
)
def test_a_time_zone_that_does_not_exist_is_rejected(executor: BrowserExecutor, name: str) -> None:
    """At enqueue, with the nearest that does."""
    assert "is not a time zone" in refusal(executor, {"timezone": name})
    assert "did you mean Asia/Seoul?" in refusal(executor, {"timezone": "Asia/Seuol"})


@pytest.mark.parametrize("name", ["Asia/Seoul", "UTC", "Etc/GMT+9", "America/Argentina/Buenos_Aires", "Asia/Calcutta"])
def test_time_zones_that_exist_are_taken(executor: BrowserExecutor, name: str) -> None:
    """Old names too."""
    assert executor.parse("browser", {"url": URL, "timezone": name})


BAD_LOCALES = ["ko_KR", "xx", "zz-ZZ", "ko-ZZ", "ko-KRR", "en-Xxxx", "foo-bar", "C", "korean", "ko-", "", "en-US-"]


@pytest.mark.parametrize("tag", BAD_LOCALES)
def test_a_locale_that_does_not_exist_is_rejected(executor: BrowserExecutor, tag: str) -> None:
    """At enqueue, in a sentence without a pattern."""
    sentence = refusal(executor, {"locale": tag})
    assert "is not a locale" in sentence
    assert "pattern" not in sentence
    assert "write it like ko-KR" in refusal(executor, {"locale": "ko_KR.UTF-8"})


LOCALES = ["ko", "ko-KR", "en-us", "zh-Hant-TW", "es-419", "gsw-CH", "sr-Latn-RS", "ca-ES-valencia", "th-TH-u-nu-thai"]


@pytest.mark.parametrize("tag", LOCALES)
def test_locales_that_exist_are_taken(executor: BrowserExecutor, tag: str) -> None:
    """With script, region, variant and extension."""
    assert executor.parse("browser", {"url": URL, "locale": tag})


FLOODS = {
    "alerts": "<script>setTimeout(() => { for (;;) alert('again') })</script>",
    "popups": "<script>setInterval(() => { for (let i = 0; i < 20; i++) window.open('/list') }, 100)</script>",
    "downloads": "<a id='a' href='/download' download></a><script>setInterval(() => a.click(), 5)</script>",
    "failed requests": "<script>setInterval(() => { for (let i = 0; i < 50; i++) fetch('/cut') }, 10)</script>",
    "console": "<script>setInterval(() => { for (let i = 0; i < 20; i++) console.error('x'.repeat(999)) }, 9)</script>",
    "workers": "<script>setInterval(() => navigator.serviceWorker.register('/s.js'), 1)</script>",
}


async def ending(shared: Bench, payload: dict[str, Any]) -> Any:
    """Run one attempt of at most three seconds; return its result, or how it failed."""
    try:
        return await shared.attempt(payload, timeout_seconds=3)
    except ExecutionFailed as error:
        return error


def next_status(shared: Bench) -> int:
    """Run another job, which may need a second attempt while the browser still closes a hundred tabs."""
    with contextlib.suppress(ExecutionFailed):
        return int(shared.run({"url": shared.site.url()}).result["status"])
    return int(shared.run({"url": shared.site.url()}).result["status"])


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_bounded_and_the_next_job_works(shared: Bench, kind: str) -> None:
    """It ends well, at its limit or with its browser, but in time, and leaves a record that fits its row."""
    shared.site.pages["/flood"] = f"<title>Flood</title>{FLOODS[kind]}"
    payload = {"url": shared.site.url("/flood"), "actions": [{"do": "wait", "ms": 700}]}
    ended = shared.do(ending(shared, payload))
    assert not isinstance(ended, ExecutionFailed) or ended.error_class in ("timeout", "browser_gone", "page_crash")
    record = ended.detail if isinstance(ended, ExecutionFailed) else ended.result
    assert len(json.dumps(record)) < 50_000
    assert next_status(shared) == 200
