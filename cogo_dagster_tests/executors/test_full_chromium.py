"""A full Chromium replaces some responses by its own error page, which a headless shell does not."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, bench
from cogo_dagster_tests.executors.site import serving
from cogo_dagster_tests.programs import missing


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An executor with a full Chromium."""
    try:
        with (
            serving() as site,
            bench(site, tmp_path_factory.mktemp("full"), replace(OPTIONS, channel="chromium")) as started,
        ):
            yield started
    except ExecutorUnavailable:
        missing("Chromium", "`sudo apt-get install chromium`")


@pytest.mark.parametrize(
    ("path", "status", "retryable", "delay_seconds"),
    [("/challenge/401", 401, False, None), ("/empty/503", 503, True, 7)],
)
def test_a_status_that_is_shown_as_an_error_page_is_classified(
    full: Bench, path: str, status: int, retryable: bool, delay_seconds: int | None
) -> None:
    """An empty response with an error status, and 401, have the class of their status, and Retry-After is respected."""
    error = full.fail({"url": full.site.url(path)})
    assert (error.error_class, error.retryable, error.delay_seconds) == ("http_status", retryable, delay_seconds)
    assert f"the server responded with {status}" in error.message


def test_the_status_of_the_last_document_counts_on_an_error_page(full: Bench) -> None:
    """A link to such a response fails the job with the status, and the message has the URL of the link."""
    full.site.pages["/away"] = "<title>First</title><a id='a' href='/empty/404'>x</a>"
    actions = [{"do": "click", "selector": "#a"}]
    error = full.fail({"url": full.site.url("/away"), "actions": actions})
    assert (error.error_class, error.retryable, error.delay_seconds) == ("http_status", False, None)
    assert full.site.url("/empty/404") in error.message
    assert "the server responded with 404" in error.message
