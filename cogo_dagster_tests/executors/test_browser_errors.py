"""Classification of messages and statuses, and limits of artifacts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cogo_dagster.executors.browser.artifacts import MAX_FILE_BYTES, MAX_FILES, ArtifactCollector
from cogo_dagster.executors.browser.errors import classify, classify_status
from cogo_dagster.formatting.browser_evidence import FILE_NAME
from cogo_dagster.queue.artifacts.files import MAX_KEPT_BYTES
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.retry_after import retry_after_seconds

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "error_class", "retryable"),
    [
        ("Page.goto: net::ERR_NAME_NOT_RESOLVED at http://no.example/", "dns", True),
        ("Page.goto: net::ERR_NAME_RESOLUTION_FAILED at http://no.example/", "dns", True),
        ("Page.goto: net::ERR_CONNECTION_REFUSED at http://a/", "connection", True),
        ("Page.goto: net::ERR_CONNECTION_RESET at http://a/", "connection", True),
        ("Page.goto: net::ERR_ADDRESS_UNREACHABLE at http://a/", "connection", True),
        ("Page.goto: net::ERR_INTERNET_DISCONNECTED at http://a/", "connection", True),
        ("Page.goto: net::ERR_TUNNEL_CONNECTION_FAILED at https://a/", "connection", True),
        ("Page.goto: net::ERR_PROXY_CONNECTION_FAILED at https://a/", "connection", True),
        ("Page.goto: net::ERR_EMPTY_RESPONSE at http://a/", "connection", True),
        ("Page.goto: net::ERR_NETWORK_CHANGED at http://a/", "connection", True),
        ("Page.goto: net::ERR_CONNECTION_TIMED_OUT at http://a/", "timeout", True),
        ("Page.goto: net::ERR_TIMED_OUT at http://a/", "timeout", True),
        ("Page.goto: Timeout 30000ms exceeded.\nCall log:\n  - navigating", "timeout", True),
        ("Page.wait_for_selector: Timeout 200ms exceeded.", "timeout", True),
        ("Page.goto: net::ERR_CERT_DATE_INVALID at https://a/", "tls", False),
        ("Page.goto: net::ERR_CERT_AUTHORITY_INVALID at https://a/", "tls", False),
        ("Page.goto: net::ERR_SSL_PROTOCOL_ERROR at https://a/", "tls", False),
        ("Page.goto: net::ERR_UNSAFE_PORT at http://a:22/", "invalid_url", False),
        ("Page.goto: net::ERR_UNSAFE_REDIRECT at http://a/", "invalid_url", False),
        ("Page.goto: net::ERR_INVALID_URL at http://a/", "invalid_url", False),
        ("Page.goto: net::ERR_BLOCKED_BY_RESPONSE at http://a/", "blocked", False),
        ("Page.goto: net::ERR_TOO_MANY_REDIRECTS at http://a/", "redirects", False),
        ("Page.goto: net::ERR_ABORTED at http://a/", "aborted", True),
        ("Page.goto: net::ERR_HTTP2_PROTOCOL_ERROR at https://a/", "network", True),
        ("Page.goto: Download is starting", "download", False),
        ("Page.screenshot: Protocol error: Not attached to an active page.", "unsettled", True),
        ("Page.evaluate: Target crashed", "page_crash", True),
        ("Page.goto: Page crashed", "page_crash", True),
        ("Browser.new_context: Target page, context or browser has been closed", "browser_gone", True),
        ("Connection closed while reading from the driver", "driver_gone", True),
        ("Page.click: Unexpected token while parsing css selector", "selector", False),
        ('Page.click: Unknown engine "foo" while parsing selector foo=1', "selector", False),
        ("Page.fill: Error: Element is not an <input>, <textarea>", "action", False),
        ('Page.press: Unknown key: "Entr"', "action", False),
        ("Something new", "browser_error", True),
        ("", "browser_error", True),
    ],
)
def test_messages_have_classes(message: str, error_class: str, retryable: bool) -> None:
    """Each message has an error class and is retryable or not; the stored message contains no call log."""
    failure = classify(message)
    assert (failure.error_class, failure.retryable) == (error_class, retryable)
    assert "\n" not in failure.message
    assert failure.message


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (408, True),
        (429, True),
        (500, True),
        (503, True),
        (599, True),
    ],
)
def test_statuses_have_classes(status: int, retryable: bool) -> None:
    """Server errors and rate limits are retryable; other statuses are not."""
    assert classify_status(status).retryable is retryable


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999999", 7 * 86_400.0),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_parsed_in_both_forms(value: str, seconds: float | None) -> None:
    """Retry-After in seconds or as a date is never negative and at most a week."""
    assert retry_after_seconds({"retry-after": value}, NOW) == seconds


def test_artifacts_are_limited(tmp_path: Path) -> None:
    """Artifacts that are too large or too many fail permanently and leave no file behind."""
    collector = ArtifactCollector(lambda: tmp_path)
    with pytest.raises(
        ExecutionFailed, match=r"big\.png has 26,214,401 bytes; the limit for an artifact is 26,214,400"
    ):
        collector.add("big.png", bytes(MAX_FILE_BYTES + 1))
    collector.path("trace.zip").write_bytes(bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(ExecutionFailed) as error:
        collector.take("trace.zip")
    assert (error.value.error_class, error.value.retryable) == ("artifact_limit", False)
    assert list(tmp_path.iterdir()) == []
    for number in range(MAX_FILES):
        collector.add(f"{number}.png", b"x")
    with pytest.raises(ExecutionFailed, match="the limit is 25"):
        collector.add("more.png", b"x")
    collector.add_json(FILE_NAME, {})  # the record of the failure
    assert FILE_NAME in collector


def test_an_artifact_replaces_one_of_the_same_name(tmp_path: Path) -> None:
    """A file that a step and the collection of evidence both save is one artifact: names of a job are unique."""
    collector = ArtifactCollector(lambda: tmp_path)
    collector.add("page.html", b"x" * (MAX_FILE_BYTES - 1))
    collector.add("page.html", b"later")
    collector.path("trace.zip").write_bytes(b"x")
    collector.take("trace.zip")
    collector.take("trace.zip")
    assert [(file.name, file.read_bytes()) for file in collector.files] == [
        ("page.html", b"later"),
        ("trace.zip", b"x"),
    ]


def test_artifacts_do_not_change_after_the_attempt(tmp_path: Path) -> None:
    """A call that is still running when its attempt has ended changes no file that is being uploaded."""
    collector = ArtifactCollector(lambda: tmp_path)
    collector.add("page.html", b"x")
    [kept] = collector.finish()
    collector.discard("page.html")
    for name in ("page.html", "screenshot.png"):
        with pytest.raises(ExecutionFailed, match=f"The attempt ended before {name} was saved"):
            collector.add(name, b"y")
    assert kept.read_bytes() == b"x"
    assert list(tmp_path.iterdir()) == []


def test_small_artifacts_need_no_folder(tmp_path: Path) -> None:
    """Artifacts are kept in memory up to 8 MiB in total, and the others are files."""
    asked: list[Path] = []

    def folder() -> Path:
        asked.append(tmp_path)
        return tmp_path

    collector = ArtifactCollector(folder)
    collector.add("screenshot.png", bytes(MAX_KEPT_BYTES - 10))
    collector.add("page.html", b"x" * 10)
    assert asked == []
    collector.add("page.pdf", b"y")
    assert [path.name for path in tmp_path.iterdir()] == ["page.pdf"]
    collector.discard("screenshot.png")
    collector.discard("page.pdf")
    assert [file.read_bytes() for file in collector.finish()] == [b"x" * 10]
    assert list(tmp_path.iterdir()) == []
