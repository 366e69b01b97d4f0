"""Finding a browser, and installing one, without a real installer."""

import platform
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cogo_dagster.executors.browser import BrowserOptions, advice, find
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
        (None, "No Chrome or Chromium was found: install one (`"),
        ("chrome", "BROWSER_CHANNEL is chrome but it is not installed here: install it"),
        ("chrom", "BROWSER_CHANNEL is chrom, which is neither an executable nor one of chrome, chrome-beta"),
        ("/bin/false", "BROWSER_CHANNEL is /bin/false, but `/bin/false --version` does not run: "),
    ],
)
def test_nothing_to_be_had_is_one_sentence(bare: Path, channel: str | None, sentence: str) -> None:
    """The sentence says what to do."""
    with pytest.raises(ExecutorUnavailable) as refused:
        find_browser(BrowserOptions(channel=channel), install=False)
    assert sentence in str(refused.value)


def test_installing_tries_playwright_then_the_distribution(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root with apt; as another user only Playwright's own."""
    tried: list[str] = []
    fonts = "fonts-dejavu-core fonts-liberation fonts-noto-cjk fonts-noto-color-emoji"
    monkeypatch.setattr(
        Installer,
        "run",
        lambda _, step: tried.append(" ".join(step.command).partition("-m ")[2] or " ".join(step.command[3:])),
    )
    monkeypatch.setattr(find, "is_root", lambda: False)
    program(bare / "apt-get")
    options = BrowserOptions(home=tmp_path)
    with pytest.raises(ExecutorUnavailable, match="was found and none could be installed: install one"):
        find_browser(options, install=True)
    assert tried == ["playwright install chromium-headless-shell"]
    with pytest.raises(ExecutorUnavailable):
        find_browser(replace(options, headless=False), install=True)
    assert tried[1:] == ["playwright install chromium"]
    monkeypatch.setattr(find, "is_root", lambda: True)
    with pytest.raises(ExecutorUnavailable):
        find_browser(options, install=True)
    assert tried[2:] == [
        "playwright install chromium-headless-shell",
        "-qq update",
        f"-qq install -y --no-install-recommends chromium-headless-shell {fonts}",
        f"-qq install -y --no-install-recommends chromium {fonts}",
    ]


def test_two_at_once_install_once(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first and finds what it installed."""
    runs: list[str] = []
    both = threading.Barrier(2, timeout=10)
    first_working = find.Search.first_working

    def look(search: find.Search) -> find.BrowserChoice | None:
        """Let both look before either installs."""
        found = first_working(search)
        if threading.current_thread() not in seen:
            seen.add(threading.current_thread())
            both.wait()
        return found

    def install(_: Installer, step: Step) -> None:
        runs.append(step.title)
        program(bare / "cogo-chromium")

    seen: set[threading.Thread] = set()
    found: list[str] = []
    monkeypatch.setattr(find.Search, "present", look)
    monkeypatch.setattr(Installer, "run", install)
    workers = [
        threading.Thread(target=lambda: found.append(find_browser(BrowserOptions(home=tmp_path), install=True).source))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == ["installed", "installed"] or sorted(found) == ["installed", "system"]
    assert runs == ["Downloading Chromium with Playwright"]


def test_a_failed_step_is_logged_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The operator sees why, in one line."""
    with installer(tmp_path / "install") as steps:
        steps.run(Step("Trying", ["/bin/sh", "-c", "echo 'Error: no route' >&2; exit 3"]))
        steps.run(Step("Trying", ["/no/such/program"], packages=False))
    assert "Trying did not work: Error: no route" in caplog.text
    assert "No such file" in caplog.text


LOADER = "error while loading shared libraries: libglib-2.0.so.0: cannot open shared object file: No such file"


def broken(path: Path, said: str) -> Path:
    """A program that does not run, and says why on standard error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{path.name}: {said}' >&2; exit 127\n")
    path.chmod(0o755)
    return path


def test_a_browser_without_its_libraries_is_told_apart_from_none(bare: Path, tmp_path: Path) -> None:
    """The library is named, and the command that installs it."""
    shell = broken(tmp_path / ".cache/ms-playwright/chromium_headless_shell-9/linux/chrome-headless-shell", LOADER)
    with pytest.raises(ExecutorUnavailable) as refused:
        find_browser(BrowserOptions(), install=False)
    assert f"{shell} does not start, since the library libglib-2.0.so.0 is missing: run `" in str(refused.value)
    assert "install-deps chromium-headless-shell`" in str(refused.value)


def test_the_reason_of_a_failed_download_is_in_the_sentence(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sees only that sees why."""
    monkeypatch.setattr(find, "is_root", lambda: False)
    monkeypatch.setattr(sys, "executable", str(broken(tmp_path / "python", "Error: getaddrinfo ENOTFOUND cdn")))
    with pytest.raises(ExecutorUnavailable) as refused:
        find_browser(BrowserOptions(home=tmp_path), install=True)
    assert "Downloading Chromium with Playwright did not work: python: Error: getaddrinfo ENOTFOUND cdn" in str(
        refused.value
    )


def test_the_commands_that_are_advised_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's by its path; the package only where it is a browser; sudo only for those who need it."""
    monkeypatch.setattr(advice, "is_root", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(advice, "_distribution", lambda: "debian")
    playwright = Path(sys.executable).with_name("playwright")
    assert playwright.is_file()
    whole = f"`{playwright} install --with-deps chromium-headless-shell`"
    assert advice.browser_commands() == f"`sudo apt-get install chromium`, or {whole}"
    monkeypatch.setattr(advice, "is_root", lambda: True)
    assert advice.browser_commands().startswith("`apt-get install chromium`")
    monkeypatch.setattr(advice, "_distribution", lambda: "ubuntu")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert advice.browser_commands() == f"{whole}, or the package of Google Chrome"


def test_without_sudo_and_uv_what_is_advised_can_be_typed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian has no sudo where root has a password; an installation by pip has no uv."""
    monkeypatch.setattr(advice, "is_root", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"sudo", "uv"} else f"/usr/bin/{name}")
    assert advice.as_root("apt-get install chromium") == "su -c 'apt-get install chromium'"
    assert f"or without root `{sys.executable} -m pip install --no-deps" in advice.fonts_advice()


def test_downloads_go_below_the_home_where_the_cache_cannot_be_written(bare: Path, tmp_path: Path) -> None:
    """And are found there again."""
    own = tmp_path / "cogo/browsers"
    search = find.Search(None, True, own)
    assert search.download_environment() == {}
    (tmp_path / ".cache").symlink_to("/proc/self")  # where nobody can make a folder
    assert search.download_environment() == {"PLAYWRIGHT_BROWSERS_PATH": str(own)}
    shell = program(own / "chromium_headless_shell-9/linux/chrome-headless-shell")
    found = search.first_working()
    assert found is not None
    assert found.executable_path == shell
