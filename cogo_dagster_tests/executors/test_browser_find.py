"""Finding and installing a browser, without a real installer."""

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
    """Write a program that prints a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{version}"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a browser; the returned folder is on PATH."""
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
    """The configured browser comes first, then the system's, then Playwright's newest download."""
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


def test_a_headless_shell_is_preferred_without_a_window(bare: Path, tmp_path: Path) -> None:
    """The system's shell comes before Playwright's; a window and the channel chromium need the full browser."""
    downloads = tmp_path / ".cache/ms-playwright"
    program(downloads / "chromium-99/chrome-linux64/chrome", "Chromium 99.0")
    program(downloads / "chromium_headless_shell-99/chrome-headless-shell-linux64/chrome-headless-shell", "Shell 99.0")
    assert find_browser(BrowserOptions(), install=False).version == "Shell 99.0"
    program(bare / "cogo-shell", "Chromium 2.0")
    program(bare / "cogo-chromium", "Chromium 3.0")
    assert find_browser(BrowserOptions(), install=False).version == "Chromium 2.0"
    assert find_browser(BrowserOptions(headless=False), install=False).version == "Chromium 3.0"
    assert find_browser(BrowserOptions(channel="chromium"), install=False).version == "Chromium 3.0"


def test_a_program_that_does_not_run_is_skipped(bare: Path) -> None:
    """A script that only prints how to install Chromium is not used."""
    (bare / "cogo-chrome").write_text("#!/bin/sh\necho 'requires the chromium snap to be installed'; exit 1\n")
    (bare / "cogo-chrome").chmod(0o755)
    program(bare / "cogo-chromium")
    assert find_browser(BrowserOptions(), install=False).executable_path == bare / "cogo-chromium"


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (None, "No Chrome or Chromium was found: install one (`"),
        ("chrome", "BROWSER_CHANNEL is chrome, which is not installed: install it"),
        ("chrom", "BROWSER_CHANNEL is chrom, which is neither an executable nor one of chrome, chrome-beta"),
        ("/bin/false", "BROWSER_CHANNEL is /bin/false, but `/bin/false --version` does not run: "),
    ],
)
def test_the_error_without_a_browser_says_what_to_do(bare: Path, channel: str | None, message: str) -> None:
    """Without a browser, the error says what to do."""
    with pytest.raises(ExecutorUnavailable) as error:
        find_browser(BrowserOptions(channel=channel), install=False)
    assert message in str(error.value)


def test_installing_tries_playwright_then_the_distribution(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is installed with apt only as root, after Playwright's download has failed."""
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
    with pytest.raises(ExecutorUnavailable, match="was found, and none could be installed: install one"):
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


def test_concurrent_installations_install_once(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process waits for the first one and uses the browser that it installed."""
    runs: list[str] = []
    both = threading.Barrier(2, timeout=10)
    first_working = find.Search.first_working

    def look(search: find.Search) -> find.BrowserChoice | None:
        """Make both threads look before either installs."""
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
    monkeypatch.setattr(find.Search, "first_working", look)
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
    """A failed step is logged with one line of its output."""
    with installer(tmp_path / "install") as steps:
        steps.run(Step("Trying", ["/bin/sh", "-c", "echo 'Error: no route' >&2; exit 3"]))
        steps.run(Step("Trying", ["/no/such/program"], packages=False))
    assert "Trying failed: Error: no route" in caplog.text
    assert "No such file" in caplog.text


LOADER = "error while loading shared libraries: libglib-2.0.so.0: cannot open shared object file: No such file"


def broken(path: Path, output: str) -> Path:
    """Write a program that fails with a message on standard error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{path.name}: {output}' >&2; exit 127\n")
    path.chmod(0o755)
    return path


def test_a_missing_library_is_reported_with_its_command(bare: Path, tmp_path: Path) -> None:
    """The error names the missing library and the command that installs it."""
    shell = broken(tmp_path / ".cache/ms-playwright/chromium_headless_shell-9/linux/chrome-headless-shell", LOADER)
    with pytest.raises(ExecutorUnavailable) as error:
        find_browser(BrowserOptions(), install=False)
    assert f"{shell} does not start: the library libglib-2.0.so.0 is missing. Run `" in str(error.value)
    assert "install-deps chromium-headless-shell`" in str(error.value)


def test_the_error_contains_the_reason_of_a_failed_download(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error contains the reason of the failed download."""
    monkeypatch.setattr(find, "is_root", lambda: False)
    monkeypatch.setattr(sys, "executable", str(broken(tmp_path / "python", "Error: getaddrinfo ENOTFOUND cdn")))
    with pytest.raises(ExecutorUnavailable) as error:
        find_browser(BrowserOptions(home=tmp_path), install=True)
    assert "Downloading Chromium with Playwright failed: python: Error: getaddrinfo ENOTFOUND cdn" in str(error.value)


def test_suggested_commands_fit_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Suggested commands use Playwright's path, the package only on Debian, and sudo only if not root."""
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


def test_suggested_commands_without_sudo_and_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sudo, commands use su; without uv, they use pip."""
    monkeypatch.setattr(advice, "is_root", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"sudo", "uv"} else f"/usr/bin/{name}")
    assert advice.as_root("apt-get install chromium") == "su -c 'apt-get install chromium'"
    assert f"or without root `{sys.executable} -m pip install --no-deps" in advice.fonts_advice()


def test_downloads_go_to_cogo_home_if_the_cache_is_not_writable(bare: Path, tmp_path: Path) -> None:
    """Downloads go to COGO_HOME if Playwright's cache is not writable, and are found there."""
    own = tmp_path / "cogo/browsers"
    search = find.Search(None, True, own)
    assert search.download_environment() == {}
    (tmp_path / ".cache").symlink_to("/proc/self")  # where no folder can be created
    assert search.download_environment() == {"PLAYWRIGHT_BROWSERS_PATH": str(own)}
    shell = program(own / "chromium_headless_shell-9/linux/chrome-headless-shell")
    found = search.first_working()
    assert found is not None
    assert found.executable_path == shell
