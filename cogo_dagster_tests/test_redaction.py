"""What must not be kept or sent does not survive, and what people need to read does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.redaction import HIDDEN, redact

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
def test_a_secret_is_hidden_in_whatever_holds_it(holder: str) -> None:
    """Tokens by their make, headers, addresses and words such as password."""
    shown = redact(f"The call failed: {holder} was refused with 403.")
    assert SECRET not in shown
    assert HIDDEN in shown
    assert shown.startswith("The call failed: ")
    assert shown.endswith(" was refused with 403.")


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    """Also inside a word, and the longer of two that overlap whole."""
    assert redact("xxhunter2hunteryy", ["hunter2", "hunter2hunter"]) == f"xx{HIDDEN}yy"


def test_what_people_read_stays() -> None:
    """Ids, plain addresses, times and the sentence itself."""
    text = "Job 01a206d5-2887-7cd6-a207-e392d971f019 got 404 from https://example.com/a/b#top at 02:05 (attempt 3/5)."
    assert redact(text) == text


@given(st.text())
def test_hiding_twice_is_hiding_once(text: str) -> None:
    """Text may pass through here more than once on its way."""
    assert redact(redact(text)) == redact(text)
