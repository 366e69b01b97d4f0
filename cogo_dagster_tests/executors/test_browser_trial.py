"""The trial start of a browser, whose caller reports what it found."""

import asyncio
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from cogo_dagster.executors.browser import executor as module
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.browser.trial import try_browser
from cogo_dagster.settings import load_settings


class Pool(SimpleNamespace):
    """Stands for a browser without a font for a script."""

    scripts_without_glyphs = ("Hangul",)

    async def stop(self) -> None:
        """Do nothing."""


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> BrowserOptions:
    """Return options with which no browser is started."""

    async def started(self: BrowserExecutor, choice: object) -> Pool:
        return Pool()

    choice = SimpleNamespace(version="Chromium", executable_path="/chromium", source="system")
    monkeypatch.setattr(module, "find_browser", lambda *_: choice)
    monkeypatch.setattr(module, "check_node", lambda: None)
    monkeypatch.setattr(BrowserExecutor, "_start_pool", started)
    return replace(BrowserOptions.from_settings(load_settings()), real_mode=True, no_sandbox=True)


def test_a_missing_font_is_reported_once(options: BrowserOptions, caplog: pytest.LogCaptureFixture) -> None:
    """A worker logs it; a trial only returns it, so that `cogo doctor` prints it once, as its finding."""
    caplog.set_level(logging.WARNING)
    assert asyncio.run(try_browser(options)) == ("Hangul",)
    assert caplog.messages == []

    async def start_and_stop() -> None:
        worker = BrowserExecutor(options)
        await worker.start()
        await worker.stop()

    asyncio.run(start_and_stop())
    [message] = caplog.messages
    assert message.startswith("Hangul text is rendered as boxes")
