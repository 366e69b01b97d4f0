"""Payloads are validated alike, whether parts of them were validated before or not."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from cogo_dagster.executors.browser.payload import parse_payload
from cogo_dagster.executors.browser.stored import _MAX_KEPT, PayloadChecker
from cogo_dagster.net.addresses import AllowList
from cogo_dagster.queue.executor import InvalidPayload

ALLOWED = AllowList.of(["intranet", "127.0.0.1:8080"])

NAMES = "a.example A.Example a.example. intranet localhost x.localhost a..b a_b.example -a.example xn--.example"
ADDRESSES = "127.0.0.1 127.1 0x7f.1 10.0.0.1 8.8.8.8 256.1.1.1 [::1] 127.0.0.1:8080"
HOSTILE = "u:p@a.example a.example: a.example:0 a.example:99999 a%2eexample \u00e9.example a\u3002example a\\@b.example"
HOSTS = ["", *NAMES.split(), *ADDRESSES.split(), *HOSTILE.split()]
TAILS = [
    "",
    "/",
    "/a?b#c",
    "?q",
    "#f",
    "/[x]",
    "//b.example/",
    "/@10.0.0.1/",
    "\\b",
    "/ ",
    "/\t",
    "/\u00e9",
    "/\ud800",
    "/\x7f",
    "/\n",
]

urls = st.one_of(
    st.builds(
        lambda scheme, host, tail: scheme + host + tail,
        st.sampled_from(["https://", "http://", "HTTPS://", "https:/", "ftp://", "ws://", ""]),
        st.sampled_from(HOSTS) | st.text(max_size=12),
        st.sampled_from(TAILS) | st.text(max_size=12),
    ),
    st.sampled_from(
        [None, 1, True, ["https://a.example"], "https://a.example/" + "x" * 8_175, "https://a.example/" + "x" * 8_174]
    ),
)
scalars = st.none() | st.booleans() | st.integers(-1, 70_000) | st.floats() | st.text(max_size=8)
fields = st.dictionaries(
    st.sampled_from(
        ["pdf", "html", "timeout_ms", "full_page", "wait_until", "user_agent", "trace", "locale", "x", "dialogs"]
    ),
    scalars | st.sampled_from(["load", "commit", "accept", "true", 1.0, 0, 1, True, [], {}, ["a"]]),
    max_size=3,
)
payloads = st.builds(lambda url, others: {"url": url, **others}, urls, fields) | fields
types = st.sampled_from(["browser", "browser.pdf", "browser.x"])


def fully_validated(type: str, payload: Any) -> object:
    """Validate without the checker; return the stored payload or the message."""
    try:
        request = parse_payload(type, payload, ALLOWED)
    except InvalidPayload as error:
        return str(error)
    return request.model_dump(mode="json", include=request.model_fields_set & set(payload), exclude_unset=True)


def checked(checker: PayloadChecker, type: str, payload: Any) -> object:
    """Validate with a checker; return the stored payload or the message."""
    try:
        return checker.stored(type, payload)
    except InvalidPayload as error:
        return str(error)


@given(st.lists(st.tuples(types, payloads), max_size=6))
@example(
    [("browser", {"url": "https://a.example/", "pdf": True}), ("browser", {"url": "https://a.example/", "pdf": 1})]
)
@example([("browser", {"url": "https://a.example/"}), ("browser", {"url": "https://a.example\\@10.0.0.1/"})])
def test_a_checker_agrees_with_the_complete_validation(found: list[tuple[str, Any]]) -> None:
    """For each payload twice, after any others: the same stored payload, of the same types, or the same message."""
    checker = PayloadChecker(ALLOWED)
    checked(checker, "browser", {"url": "https://a.example/"})
    for type, payload in found * 2:
        assert repr(checked(checker, type, payload)) == repr(fully_validated(type, payload))


def test_a_known_origin_and_known_fields_are_not_validated_again() -> None:
    """The next payload with other characters after the origin is accepted without the model."""
    checker = PayloadChecker(ALLOWED)
    checker.stored("browser", {"url": "https://a.example/1", "full_page": True})
    checker._allowed = AllowList.of(["unused"])
    assert checker._origins == set()
    checker.stored("browser", {"url": "https://a.example/2", "full_page": True})
    assert checker._origins == {"https://a.example"}


def test_what_is_kept_is_limited() -> None:
    """A file with a million hosts or fields does not use more memory than one with a thousand."""
    checker = PayloadChecker(ALLOWED)
    for number in range(_MAX_KEPT + 2):
        checker.stored("browser", {"url": f"https://a{number}.example/"})
        checker.stored("browser", {"url": "https://a.example/", "timeout_ms": number + 1})
    assert len(checker._origins) <= _MAX_KEPT
    assert len(checker._others) <= _MAX_KEPT
