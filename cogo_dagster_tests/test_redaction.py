"""Redaction removes secrets and keeps everything else."""

import base64
import html
import json
import logging
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.queue.model import JobError
from cogo_dagster.redaction import HIDDEN, SLICE_CHARS, RedactingFilter, Redactor, redact, redact_json
from cogo_dagster.text import storable_json

SECRET = "Zq7vT4mK9pXw2RbN"

HOLDERS = (
    f"figd_{SECRET}",
    f"sb_secret_{SECRET}",
    f"ghp_{SECRET}",
    f"github_pat_{SECRET}",
    f"whsec_{SECRET}==",
    f"xoxb-{SECRET}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoi{SECRET}.{SECRET}",
    f"Authorization: Bearer {SECRET}",
    f'{{"x-figma-token": "{SECRET}"}}',
    f"x-admin-token: {SECRET}",
    f"postgresql://owner:{SECRET}@db.example.com:5432/queue",
    f"https://chat.googleapis.com/v1/spaces/A/messages?key=k&token={SECRET}",
    f"https://hooks.slack.com/services/T0/B0/{SECRET}",
    f"password={SECRET}",
    f"SUPABASE_SERVICE_ROLE_KEY={SECRET}",
)


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_secret_is_redacted_in_each_context(holder: str) -> None:
    """Tokens are recognised by their form, by headers, URLs and words such as password."""
    shown = redact(f"The call failed: {holder} was refused with 403.")
    assert SECRET not in shown
    assert HIDDEN in shown
    assert shown.startswith("The call failed: ")
    assert shown.endswith(" was refused with 403.")


def test_a_known_secret_is_redacted_everywhere() -> None:
    """This holds inside a word, and for the longer of two overlapping secrets."""
    assert redact("xxhunter2hunteryy", ["hunter2", "hunter2hunter"]) == f"xx{HIDDEN}yy"


def test_other_text_is_kept() -> None:
    """IDs, plain URLs, times and the message are unchanged."""
    text = "Job 01a206d5-2887-7cd6-a207-e392d971f019 got 404 from https://example.com/a/b#top at 02:05 (attempt 3/5)."
    assert redact(text) == text


@given(st.text())
def test_redaction_is_idempotent(text: str) -> None:
    """Text may be redacted more than once on its way."""
    assert redact(redact(text)) == redact(text)


KNOWN = 'Zq7v/T4m+K9p "Xw2\\RbN é~1'


def _percent(text: str, *, lower: bool = False, every: int = 1) -> str:
    return "".join(
        (f"%{byte:02x}" if lower else f"%{byte:02X}") if at % every == 0 or byte > 127 else chr(byte)
        for at, byte in enumerate(text.encode())
    )


FORMS = {
    "unchanged": KNOWN,
    "percent-encoded": quote(KNOWN, safe=""),
    "percent-encoded in lower case": re.sub("%..", lambda escape: escape[0].lower(), quote(KNOWN, safe="")),
    "every byte": _percent(KNOWN),
    "every byte in lower case": _percent(KNOWN, lower=True),
    "every third byte": _percent(KNOWN, every=3),
    "of a form": quote_plus(KNOWN),
    "twice percent-encoded": quote(quote(KNOWN, safe=""), safe=""),
    "in JSON": json.dumps(KNOWN)[1:-1],
    "in JSON without escapes": json.dumps(KNOWN, ensure_ascii=False)[1:-1],
    "in JSON in JSON": json.dumps(json.dumps(KNOWN)[1:-1])[1:-1],
    "in JSON, percent-encoded": quote(json.dumps(KNOWN)[1:-1], safe=""),
    "every letter in JSON": "".join(f"\\u{ord(letter):04x}" for letter in KNOWN),
    "as Python shows it": repr(KNOWN)[1:-1],
    "in HTML": html.escape(KNOWN),
    "in HTML with numbers": "".join(f"&#{ord(letter)};" for letter in KNOWN),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_known_secret_is_redacted_in_every_encoding(form: str) -> None:
    """It is redacted completely, and nothing beside it."""
    assert redact(f"before {FORMS[form]} behind", [KNOWN]) == f"before {HIDDEN} behind"


@pytest.mark.parametrize("altchars", [b"+/", b"-_"])
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("behind", range(3))
def test_a_known_secret_is_redacted_in_base64(altchars: bytes, before: int, behind: int) -> None:
    """Every offset within the encoded data is covered, with and without padding, on one line and on several."""
    encoded = base64.b64encode(b"x" * before + KNOWN.encode() + b"y" * behind, altchars).decode()
    certain = base64.b64encode(b"x" * 3 + KNOWN.encode()[:24], altchars).decode()[4:]
    for form in (encoded, encoded.rstrip("="), quote(encoded, safe=""), f"{encoded[:9]}\n{encoded[9:]}"):
        shown = redact(f"before {form} behind", [KNOWN])
        assert HIDDEN in shown
        assert len(shown) <= len(f"before {HIDDEN} behind") + before + behind + 10
        assert certain[8:16] not in shown


def test_a_known_key_of_several_lines_is_redacted_line_by_line() -> None:
    """This holds for indented lines too."""
    key = "-----BEGIN X-----\nMIIBVgIBADANBgkqhkiG9w0B\nAQEFAASCAUAwggE8AgEAAkEA\n-----END X-----\n"
    shown = redact("\n".join(f"  > {line}" for line in key.splitlines()), [key])
    assert "MIIB" not in shown
    assert "AQEF" not in shown


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("encode", [lambda text: quote(text, safe=""), lambda text: json.dumps(text)[1:-1]])
def test_a_likely_secret_is_redacted_in_an_encoding_too(holder: str, encode: Callable[[str], str]) -> None:
    """The encodings are percent-encoding and JSON strings."""
    assert SECRET not in redact(f"before {encode(holder)} behind")


def test_a_secret_across_two_slices_is_redacted() -> None:
    """The boundary may be anywhere in it, and the redacted part may have any length."""
    for at in range(SLICE_CHARS - 4_200, SLICE_CHARS - 4_000, 7):
        shown = redact("x" * (at - 1) + " " + quote(KNOWN, safe="") + " token=" + "y" * 200_000 + " behind", [KNOWN])
        assert shown == "x" * (at - 1) + f" {HIDDEN} token={HIDDEN} behind"


def test_slices_are_the_redacted_text_in_pieces() -> None:
    """An event loop can run between them."""
    text = ("some words, password=hunter22 and more\n" * 10_000)[:300_000]
    pieces = list(Redactor().slices(text))
    assert len(pieces) >= 5
    assert max(map(len, pieces)) <= SLICE_CHARS
    assert "".join(pieces) == redact(text)
    assert "hunter" not in redact(text)


def test_text_is_redacted_before_it_is_truncated() -> None:
    """A truncated secret is not kept."""
    for most in range(1, 60):
        shown = Redactor([KNOWN]).beginning(f"a message of words {KNOWN} and the rest", most)
        assert len(shown) <= most
        assert "Zq7" not in shown


HOSTILE = (
    *("a-", "a", "eyJ-", "://", "a://", "://a@", "x?://", "token", "token:", "api_", "\"'", "\\", "%41", "\\u0041"),
    *("&amp;", "cookie=a;", "bearer ", "Authorization: ", "gAAAA-", "ghp_", "\n", " ", "PRIVATE KEY-----", "AKIA"),
    *("%", "=", "\0", "01a206d5-2887-7cd6-a207-e392d971f019-", "Zm9vYmFyLV8_", "secret-", "http://a.example/-token"),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_redaction_takes_linear_time(unit: str) -> None:
    """Four times the text takes about four times as long; quadratic time would be sixteen times."""
    redactor = Redactor([KNOWN])
    text = unit * (32_000 // len(unit))
    short, long = _seconds(redactor, text[:8_000]), _seconds(redactor, text)
    assert long <= 10 * max(short, 0.002)


def _seconds(redactor: Redactor, text: str) -> float:
    """Return the minimum of three measurements of this thread's CPU time."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        redactor.text(text)
        took.append(time.thread_time() - began)
    return min(took)


def test_a_document_is_redacted_in_all_its_strings() -> None:
    """Values, keys, and values with a secret key are redacted; a document without secrets is not copied."""
    clean = {"a": [1, None, {"b": "text"}]}
    assert Redactor([KNOWN]).json(clean) is clean
    shown = redact_json({KNOWN: [f"see {KNOWN}"], "db_password": "hunter2"}, [KNOWN])
    assert shown == {HIDDEN: [f"see {HIDDEN}"], "db_password": HIDDEN}


def test_a_filter_redacts_log_records() -> None:
    """The message, its arguments and a traceback are redacted; invalid arguments raise no error."""
    seen: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(logging.Formatter().format(record))

    foreign = logging.getLogger("other.library")
    handler = Handler()
    handler.addFilter(RedactingFilter(Redactor([KNOWN])))
    foreign.addHandler(handler)
    try:
        foreign.warning("GET %s", f"https://example.com/{quote(KNOWN, safe='')}")
        foreign.warning("%s and %s", KNOWN)
        foreign.error("failed", exc_info=ValueError(KNOWN))
    finally:
        foreign.removeHandler(handler)
    assert seen[0] == f"GET https://example.com/{HIDDEN}"
    assert "Zq7" not in "".join(seen)
    assert "ValueError" in seen[2]


def test_an_error_is_truncated_and_redacted() -> None:
    """This includes its class, which is indexed."""
    error = JobError(f"Odd{KNOWN}" + "c" * 1_000, "m" * 1_990 + KNOWN, detail="d" * 19_990 + KNOWN + "d" * 5_000_000)
    kept = error.redacted([KNOWN])
    assert (len(kept.error_class), len(kept.message), len(kept.detail or "")) == (200, 1_998, 20_000)
    assert "Zq7" not in f"{kept.error_class}{kept.message}{kept.detail}"
    assert JobError("\ud83d", "\0", detail="\ud83d").to_json()["class"] == "\ufffd"


def test_a_deep_document_is_redacted_after_it_became_storable() -> None:
    """Objects and lists with a hundred thousand levels are cut."""
    document: object = KNOWN
    for level in range(100_000):
        document = {"a": document} if level % 2 else [document]
    shown = redact_json(storable_json({"deep": document, "text": KNOWN})[0], [KNOWN])
    assert shown["text"] == HIDDEN
    assert "nested deeper" in json.dumps(shown)
