"""The environment variables of the browser executor."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser import executor as executor_module
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.options import browser_limit_mb, page_limit_mb
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.machine import usable_memory_bytes
from cogo_dagster.queue.executor import ExecutorContext
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, bench, names
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.processes import command_line

MISSING_ELEMENT = [{"do": "click", "selector": "#nowhere", "timeout_ms": 100}]


def unavailable(options: BrowserOptions) -> str:
    """Start an executor that must be unavailable, stop it, and return the error message."""

    async def scenario() -> str:
        executor = BrowserExecutor(options)
        try:
            with pytest.raises(ExecutorUnavailable) as error:
                await executor.start()
            return str(error.value)
        finally:
            await executor.stop()

    return asyncio.run(scenario())


def test_the_variables_become_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable in the documentation reaches the executor."""
    values = {
        "BROWSER_REAL_MODE": "false",
        "HEADLESS": "false",
        "NO_SANDBOX": "true",
        "BROWSER_CHANNEL": "chrome",
        "BROWSER_NAV_TIMEOUT_MS": "1234",
        "BROWSER_FORCE_SUCCESS": "true",
        "BROWSER_ALLOWED_HOSTS": "Intranet, 127.0.0.1:80",
        "COGO_CONCURRENCY": "2",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert BrowserOptions.from_settings(load_settings()) == BrowserOptions(
        real_mode=False,
        headless=False,
        no_sandbox=True,
        channel="chrome",
        nav_timeout_ms=1234,
        force_success=True,
        allowed_hosts=("intranet", "127.0.0.1:80"),
        concurrency=2,
        memory_mb_per_browser=browser_limit_mb(2),
        memory_mb_per_page=page_limit_mb(2, usable_memory_bytes()),
    )
    executor = BrowserExecutor.build(ExecutorContext.offline(load_settings()))
    assert (executor.family, executor.slots, executor.prefetch) == ("browser", 2, 0)


def test_no_sandbox_is_required_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_SANDBOX=false as root, the worker does not start."""
    monkeypatch.setattr(executor_module, "is_root", lambda: True)
    assert unavailable(BrowserOptions()) == (
        "Chromium's sandbox does not work as root: run the worker as another user, "
        "or set NO_SANDBOX=true if you trust the pages it opens."
    )


@pytest.mark.parametrize(
    ("slots", "memory_bytes", "limit_mb"),
    [(4, 24e9, 2_000), (4, 4e9, 750), (4, 1e9, 512), (1, 2e9, 1_500), (4, None, 2_000), (32, 64e9, 1_500)],
)
def test_the_share_of_a_page_follows_slots_and_memory(slots: int, memory_bytes: float | None, limit_mb: int) -> None:
    """A page may use its share of three quarters of the memory, at least 512 MB and at most 2 GB."""
    assert page_limit_mb(slots, None if memory_bytes is None else int(memory_bytes)) == limit_mb


def test_a_browser_with_more_slots_may_use_more_memory() -> None:
    """The limit at which a browser is replaced follows the number of its pages."""
    assert [browser_limit_mb(slots) for slots in (1, 4, 32)] == [1_250, 2_000, 9_000]


def test_no_sandbox_sets_the_flag(shared: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Chromium is started with --no-sandbox only if NO_SANDBOX is true."""
    assert OPTIONS.no_sandbox
    assert "--no-sandbox" in command_line(shared.usable().browser_pid)
    output = tmp_path / "arguments"
    fake = _program(
        tmp_path / "chromium", f'echo "$@" >> {output}; [ "$1" = --version ] && echo "Chromium 1.0" && exit; exit 7'
    )
    monkeypatch.setattr(executor_module, "is_root", lambda: False)
    assert "does not start" in unavailable(replace(OPTIONS, no_sandbox=False, channel=str(fake)))
    assert "--headless" in output.read_text()
    assert "--no-sandbox" not in output.read_text()


def test_headless_false_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HEADLESS=false and no display, the worker does not start and says what to do."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "HEADLESS=false needs a display" in unavailable(replace(OPTIONS, headless=False))


def test_headless_is_the_default(shared: Bench) -> None:
    """By default the browser is started headless, with the flags that force it to use the proxy."""
    flags = command_line(shared.usable().browser_pid)
    for flag in ("--headless", "--disable-quic", "--webrtc-ip-handling-policy", "--proxy-bypass-list=<-loopback>"):
        assert flag in flags
    assert flags.count("--disable-features") == 1


def test_the_navigation_timeout_is_the_default_of_every_step(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """BROWSER_NAV_TIMEOUT_MS applies to steps without a timeout in the payload."""
    shared.change(monkeypatch, nav_timeout_ms=1_000)
    error = shared.fail({"url": shared.site.url(), "actions": [{"do": "wait_for", "selector": "#never"}]})
    assert "Timeout 1000ms exceeded" in error.message


def test_forced_success_marks_failures_as_forced(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With BROWSER_FORCE_SUCCESS a failed job succeeds with its error in the result, and the evidence is kept."""
    shared.change(monkeypatch, force_success=True)
    found = shared.run({"url": shared.site.url(), "actions": MISSING_ELEMENT})
    assert found.result["forced"] is True
    assert found.result["error"]["class"] == "timeout"
    assert names(found) == {"screenshot.png", "page.html", "evidence.json"}
    shared.site.reached.clear()

    async def cancelled() -> None:
        actions = [{"do": "wait", "ms": 60_000}]
        job = asyncio.create_task(shared.attempt({"url": shared.site.url("/wait"), "actions": actions}))
        assert await asyncio.to_thread(shared.site.reached.wait, 20)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    shared.do(cancelled())


def test_without_a_browser_pages_are_fetched(site: Site, neighbour: Site, folder: Path) -> None:
    """With BROWSER_REAL_MODE=false only page.html is saved, with a note, and the address rules apply to every hop."""
    options = replace(OPTIONS, real_mode=False, channel="/no/such/browser")
    site.pages["/plain"] = "<html><title>A &amp; B</title><script>document.title = 'x'</script>"
    with bench(site, folder, options) as started:
        payload: dict[str, Any] = {
            "url": site.url(f"/to?{site.url('/plain')}"),
            "actions": MISSING_ELEMENT,
            "user_agent": "cogo/2",
        }
        found = started.run(payload)
        assert found.result["mode"] == "http"
        assert (found.result["title"], found.result["url"]) == ("A & B", site.url("/plain"))
        assert (found.result["status"], found.result["actions_skipped"]) == (200, 1)
        assert "BROWSER_REAL_MODE is false" in found.result["notes"][0]
        assert names(found) == {"page.html"}
        assert site.headers["/plain"]["user-agent"] == "cogo/2"
        for target in (neighbour.url("/secret"), f"https://{neighbour.authority}/secret"):
            error = started.fail({"url": site.url(f"/to?{target}")})
            assert (error.error_class, error.retryable) == ("blocked_address", False)
        outcomes = {
            site.url("/status/503"): ("http_status", True, 7.0),
            site.url("/status/404"): ("http_status", False, None),
            site.url("/loop"): ("redirects", False, None),
            site.url("/to?file:///etc/passwd"): ("invalid_url", False, None),
            f"https://{site.authority}/": ("tls", False, None),
        }
        for url, expected in outcomes.items():
            error = started.fail({"url": url})
            assert (error.error_class, error.retryable, error.delay_seconds) == expected, url
    assert neighbour.connections == 0


def test_an_invalid_allow_list_is_an_error() -> None:
    """An invalid BROWSER_ALLOWED_HOSTS is an error at start."""
    with pytest.raises(ExecutorUnavailable, match=r"^BROWSER_ALLOWED_HOSTS: 'http://x/' is not host:port\.$"):
        BrowserExecutor(BrowserOptions(allowed_hosts=("http://x/",)))


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
