"""Finding a browser, and installing one, without a real installer."""

import threading
from pathlib import Path

import pytest

from cogo_dagster.executors.browser import BrowserOptions, find
from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.install import Installer, Step, installer
from cogo_dagster.executors.errors import ExecutorUnavailable


def program(path: Path, version: str = "Chromium 9.8.7") -> Path:
    """A program that says its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{version}"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any browser; programs put into the returned folder are on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/nowhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    monkeypatch.setattr(find, "SHELL_NAMES", ("cogo-shell",))
    monkeypatch.setattr(find, "CHROME_NAMES", ("cogo-chrome",))
    monkeypatch.setattr(find, "CHROMIUM_NAMES", ("cogo-chromium",))
    monkeypatch.setitem(find.CHANNELS, "chrome", ("cogo-chrome",))
    monkeypatch.setitem(find.CHANNELS, "chromium", ("cogo-chromium",))
    return folder


def test_the_order_is_setting_system_playwright(bare: Path, tmp_path: Path) -> None:
    """What is named wins, then the system's, then the newest that Playwright downloaded."""
    for revision in ("chromium-99", "chromium-1255"):
        program(tmp_path / ".cache/ms-playwright" / revision / "chrome-linux64/chrome", f"Chromium {revision[9:]}.0")
    choice = find_browser(BrowserOptions(), install=False)
    assert (choice.version, choice.source) == ("Chromium 1255.0", "playwright")
    program(bare / "cogo-chromium", "Chromium 2.0 built on Debian")
    choice = find_browser(BrowserOptions(), install=False)
    assert (choice.version, choice.source) == ("Chromium 2.0", "system")
    program(bare / "cogo-chrome", "Google Chrome 3.0")
    assert find_browser(BrowserOptions(), install=False).version == "Google Chrome 3.0"
    assert find_browser(BrowserOptions(channel="chromium"), install=False).version == "Chromium 2.0"
    named = program(tmp_path / "my browser", "Brave Browser 4.0")
    choice = find_browser(BrowserOptions(channel=str(named)), install=False)
    assert (choice.executable_path, choice.version, choice.source) == (named, "Brave Browser 4.0", "setting")


def test_a_headless_shell_comes_first_where_no_window_is_wanted(bare: Path, tmp_path: Path) -> None:
    """The system's, then Playwright's; a window and the channel chromium need the whole browser."""
    downloads = tmp_path / ".cache/ms-playwright"
    program(downloads / "chromium-99/chrome-linux64/chrome", "Chromium 99.0")
    program(downloads / "chromium_headless_shell-99/chrome-headless-shell-linux64/chrome-headless-shell", "Shell 99.0")
    assert find_browser(BrowserOptions(), install=False).version == "Shell 99.0"
    program(bare / "cogo-shell", "Chromium 2.0")
    program(bare / "cogo-chromium", "Chromium 3.0")
    assert find_browser(BrowserOptions(), install=False).version == "Chromium 2.0"
    assert find_browser(BrowserOptions(headless=False), install=False).version == "Chromium 3.0"
    assert find_browser(BrowserOptions(channel="chromium"), install=False).version == "Chromium 3.0"


def test_what_does_not_run_is_passed_over(bare: Path) -> None:
    """A launcher that only says how to install the real thing is no browser."""
    (bare / "cogo-chrome").write_text("#!/bin/sh\necho 'requires the chromium snap to be installed'; exit 1\n")
    (bare / "cogo-chrome").chmod(0o755)
    program(bare / "cogo-chromium")
    assert find_browser(BrowserOptions(), install=False).executable_path == bare / "cogo-chromium"


@pytest.mark.parametrize(
    ("channel", "sentence"),
    [
        (None, "No Chrome or Chromium was found: install one (`sudo apt-get install chromium`"),
        ("chrome", "BROWSER_CHANNEL is chrome but it is not installed here: install it"),
        ("chrom", "BROWSER_CHANNEL is chrom, which is neither an executable nor one of chrome, chrome-beta"),
        ("/bin/false", "BROWSER_CHANNEL is /bin/false, but `/bin/false --version` does not run"),
    ],
)
def test_nothing_to_be_had_is_one_sentence(bare: Path, channel: str | None, sentence: str) -> None:
    """The sentence says what to do."""
    with pytest.raises(ExecutorUnavailable) as refused:
        find_browser(BrowserOptions(channel=channel), install=False)
    assert sentence in str(refused.value)


def test_installing_tries_playwright_then_the_distribution(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root with apt; as another user only Playwright's own."""
    tried: list[str] = []
    monkeypatch.setattr(Installer, "run", lambda _, step: tried.append(" ".join(step.command[-3:])))
    monkeypatch.setattr(find, "is_root", lambda: False)
    program(bare / "apt-get")
    with pytest.raises(ExecutorUnavailable, match="was found and none could be installed: install one"):
        find_browser(BrowserOptions(), install=True)
    assert tried == ["playwright install chromium-headless-shell"]
    with pytest.raises(ExecutorUnavailable):
        find_browser(BrowserOptions(headless=False), install=True)
    assert tried[1:] == ["playwright install chromium"]
    monkeypatch.setattr(find, "is_root", lambda: True)
    with pytest.raises(ExecutorUnavailable):
        find_browser(BrowserOptions(), install=True)
    assert tried[2:] == [
        "playwright install chromium-headless-shell",
        "DPkg::Lock::Timeout=600 -qq update",
        "chromium-headless-shell fonts-dejavu-core fonts-liberation",
        "chromium fonts-dejavu-core fonts-liberation",
    ]


def test_two_at_once_install_once(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first and finds what it installed."""
    runs: list[str] = []
    both = threading.Barrier(2, timeout=10)
    present = find._present

    def look(channel: str | None, shell: bool) -> find.BrowserChoice | None:
        """Let both look before either installs."""
        found = present(channel, shell)
        if threading.current_thread() not in seen:
            seen.add(threading.current_thread())
            both.wait()
        return found

    def install(_: Installer, step: Step) -> None:
        runs.append(step.what)
        program(bare / "cogo-chromium")

    seen: set[threading.Thread] = set()
    found: list[str] = []
    monkeypatch.setattr(find, "_present", look)
    monkeypatch.setattr(Installer, "run", install)
    workers = [
        threading.Thread(target=lambda: found.append(find_browser(BrowserOptions(), install=True).source))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == ["installed", "installed"] or sorted(found) == ["installed", "system"]
    assert runs == ["Downloading Chromium with Playwright"]


def test_a_failed_step_is_logged_with_its_reason(bare: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The operator sees why, in one line."""
    with installer() as steps:
        steps.run(Step("Trying", ["/bin/sh", "-c", "echo 'Error: no route' >&2; exit 3"]))
        steps.run(Step("Trying", ["/no/such/program"], packages=False))
    assert "Trying did not work: Error: no route" in caplog.text
    assert "No such file" in caplog.text
