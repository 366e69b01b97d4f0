"""How the demo starts its browser where Chromium has no sandbox."""

import pytest

from cogo_dagster.cli import demo
from cogo_dagster.cli.worker_log import WorkerLog
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.errors import SandboxUnavailable
from cogo_dagster.settings import load_settings


@pytest.fixture
def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A system that refuses the sandbox; returns which browsers were tried without it."""
    tried: list[bool] = []

    async def try_browser(options: BrowserOptions) -> tuple[str, ...]:
        tried.append(options.no_sandbox)
        if not options.no_sandbox:
            raise SandboxUnavailable("Chromium's sandbox does not work here.")
        return ()

    monkeypatch.setattr(demo, "try_browser", try_browser)
    return tried


def test_the_demos_own_page_is_trusted(without_namespaces: list[bool], capfd: pytest.CaptureFixture[str]) -> None:
    """It does without, and says so."""
    found = demo._sandbox(load_settings(NO_SANDBOX="false"), WorkerLog(as_json=False), trusted=True)
    assert found == {"NO_SANDBOX": "true"}
    assert without_namespaces == [False, True]
    assert "Chromium has no sandbox here; the demo opens only its own page" in capfd.readouterr().err


def test_pages_of_others_are_not_trusted(without_namespaces: list[bool]) -> None:
    """The operator decides."""
    with pytest.raises(SandboxUnavailable):
        demo._sandbox(load_settings(NO_SANDBOX="false"), WorkerLog(as_json=False), trusted=False)
    assert without_namespaces == [False]
