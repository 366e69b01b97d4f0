"""How the demo starts its browser if Chromium cannot use a sandbox."""

import pytest

from cogo_dagster.cli import demo
from cogo_dagster.cli.worker_log import WorkerLog
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.errors import SandboxUnavailable
from cogo_dagster.settings import load_settings


@pytest.fixture
def without_sandbox(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Simulate a system without the sandbox; return whether each start of a browser was without one."""
    tried: list[bool] = []

    async def try_browser(options: BrowserOptions) -> tuple[str, ...]:
        tried.append(options.no_sandbox)
        if not options.no_sandbox:
            raise SandboxUnavailable("Chromium's sandbox does not work here.")
        return ()

    monkeypatch.setattr(demo, "try_browser", try_browser)
    return tried


def test_the_demos_own_page_is_trusted(without_sandbox: list[bool], capfd: pytest.CaptureFixture[str]) -> None:
    """The page of the demo is opened without a sandbox, which is logged."""
    found = demo._sandbox(load_settings(NO_SANDBOX="false"), WorkerLog(as_json=False), trusted=True)
    assert found == {"NO_SANDBOX": "true"}
    assert without_sandbox == [False, True]
    assert "Chromium cannot use a sandbox here; the demo opens only its own page" in capfd.readouterr().err


def test_other_pages_are_not_trusted(without_sandbox: list[bool]) -> None:
    """A page given with --url is not opened without a sandbox."""
    with pytest.raises(SandboxUnavailable):
        demo._sandbox(load_settings(NO_SANDBOX="false"), WorkerLog(as_json=False), trusted=False)
    assert without_sandbox == [False]
