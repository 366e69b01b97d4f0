"""Error messages if a browser cannot start: Node.js, the sandbox, temporary files, fonts."""

import asyncio
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from cogo_dagster.executors.browser import BrowserOptions, process
from cogo_dagster.executors.browser import executor as executor_module
from cogo_dagster.executors.browser.find import BrowserChoice
from cogo_dagster.executors.browser.node import check_node, node_program
from cogo_dagster.executors.browser.trial import try_browser
from cogo_dagster.executors.errors import ExecutorUnavailable, SandboxUnavailable
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, bench
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.executors.test_browser_settings import unavailable
from cogo_dagster_tests.processes import environment

USER = "user namespaces"


def script(path: Path, text: str) -> Path:
    """Write a shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "echo 'node: error while loading shared libraries: libatomic.so.1: cannot open it' >&2; exit 127",
            "since the library libatomic.so.1 is missing. Run `",
        ),
        ("echo 'Illegal instruction' >&2; exit 4", "does not run (Illegal instruction). Reinstall Playwright"),
        ("exit 4", "does not run (exit code 4). Reinstall Playwright"),
    ],
)
def test_a_node_that_does_not_run_is_reported_before_any_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """A Node.js that does not run is reported as such, before any download."""
    node = script(tmp_path / "node", text)
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
    monkeypatch.setattr(executor_module, "find_browser", _not_reached)
    output = unavailable(OPTIONS)
    assert f"Playwright's driver does not start: its Node.js ({node}) does not run" in output
    assert message in output
    assert "PLAYWRIGHT_NODEJS_PATH" in output
    assert ("apt-get install libatomic1`" in output) is ("libatomic" in text)


def test_a_missing_node_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing Node.js is reported with the configured path."""
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", "/no/such/node")
    with pytest.raises(ExecutorUnavailable, match=r"\(/no/such/node\) does not run \(No such file or directory\)"):
        check_node()


def test_the_node_of_playwright_runs_on_a_minimal_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's Node.js needs only the C and C++ runtime, not libatomic1."""
    monkeypatch.delenv("PLAYWRIGHT_NODEJS_PATH", raising=False)
    needed = subprocess.run(["ldd", node_program()], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].rpartition("/")[2].partition(".so")[0] for line in needed.splitlines()}
    assert names <= {"linux-vdso", "libdl", "libstdc++", "libm", "libgcc_s", "libpthread", "libc", "ld-linux-x86-64"}


def test_a_driver_that_dies_at_its_start_makes_the_executor_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that exits at start makes the executor unavailable."""
    node = script(tmp_path / "node", '[ "$1" = --version ] && exit; exit 3')
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
    assert unavailable(OPTIONS) == "Playwright's driver exited while it was starting the browser."


def test_a_noexec_temporary_folder_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder mounted with noexec is reported, and nothing is started."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "driver" and access(path, mode))
    output = unavailable(OPTIONS)
    assert "programs cannot be executed in /tmp (mounted with noexec). Set TMPDIR" in output


def test_a_full_disk_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is reported with the variable for another folder."""

    def full() -> NoReturn:
        raise OSError(28, "No space left on device", "/tmp/x")

    monkeypatch.setattr(process, "scratch_folder", full)
    output = unavailable(OPTIONS)
    assert "temporary files cannot be written (/tmp/x): No space left on device" in output
    assert "TMPDIR" in output


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize(
    "message",
    [
        "[FATAL:content/browser/zygote_host/zygote_host_impl_linux.cc:129] No usable sandbox! If you are on Ubuntu",
        "Failed to move to new namespace: PID namespaces supported, Network namespace supported, but failed: errno = 1",
        "[ERROR:zygote_host_impl_linux.cc] Running as root without --no-sandbox is not supported",
    ],
)
def test_remedies_for_a_missing_sandbox_are_listed(monkeypatch: pytest.MonkeyPatch, message: str, root: bool) -> None:
    """The message for an unprivileged user has the cause and three remedies, but not the advice for root."""
    monkeypatch.setattr(process, "is_root", lambda: root)
    error = process._unavailable(message, BrowserChoice(Path("/b"), "Chromium 1.0", "system"))
    assert isinstance(error, SandboxUnavailable)
    output = str(error)
    assert ("run the worker as another user" in output) is root
    remedies = ["Google Chrome", "AppArmor profile", "kernel.apparmor_restrict_unprivileged_userns=0"]
    assert [word for word in remedies if word in output] == ([] if root else remedies)
    assert "NO_SANDBOX=true" in output


def test_a_browser_without_a_library_is_reported() -> None:
    """A missing library is reported with the command that installs it."""
    message = "x: error while loading shared libraries: libnss3.so: cannot open shared object file"
    output = process._launch_message(message, BrowserChoice(Path("/b"), "Chromium 1.0", "playwright"))
    assert output.startswith("/b does not start: the library libnss3.so is missing. Run `")


@pytest.fixture
def latin_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one font, without Korean."""
    found = subprocess.run(["fc-match", "-f", "%{file}", "DejaVu Sans"], capture_output=True, text=True, check=True)
    (tmp_path / "fonts").mkdir()
    shutil.copy(found.stdout, tmp_path / "fonts")
    configuration = tmp_path / "fonts.conf"
    configuration.write_text(
        f"<fontconfig><dir>{tmp_path}/fonts</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    monkeypatch.setenv("FONTCONFIG_FILE", str(configuration))


@pytest.mark.usefixtures("latin_only")
def test_a_trial_returns_the_scripts_without_glyphs(caplog: pytest.LogCaptureFixture) -> None:
    """A trial start returns the scripts without glyphs, and does not log them."""
    missing = asyncio.run(try_browser(replace(OPTIONS, install=False)))
    assert "Hangul" not in caplog.text
    assert {"Hangul", "Han", "Hiragana", "Katakana"} <= set(missing)
    assert not {"Latin", "Greek", "Cyrillic"} & set(missing)


@pytest.mark.usefixtures("latin_only")
def test_scripts_without_glyphs_are_logged_and_noted(
    site: Site, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker logs them, with how to install fonts, and a job notes those that are visible on its page."""
    visible = {
        "/korean": "<title>x</title><p>안녕 Hello</p>",
        "/canvas": "<title>x</title><canvas id=c></canvas><script>c.getContext('2d').fillText('안녕', 0, 9)</script>",
        "/field": "<title>x</title><input placeholder='안녕'>",
    }
    site.pages |= visible
    site.pages["/hidden"] = "<title>x</title><p>Hello</p><p style='display: none'>안녕</p><script>'안녕'</script>"
    with bench(site, folder, replace(OPTIONS, install=False)) as started:
        assert "Hangul, Han" in caplog.text
        assert "fonts" in caplog.text.partition("no installed font has its glyphs. ")[2]
        for path in visible:
            [note] = started.run({"url": site.url(path)}).result["notes"]
            assert note.startswith("The page has Hangul text, for which no font is installed"), path
        assert started.run({"url": site.url("/hidden")}).result["notes"] == []


def test_crash_reports_are_written_to_the_scratch_folder(shared: Bench) -> None:
    """Crash reports are written to the scratch folder, not to the home folder."""
    variables = environment(shared.usable().browser_pid)
    assert variables["BREAKPAD_DUMP_LOCATION"] == variables["TMPDIR"]


def _not_reached(options: BrowserOptions, install: bool) -> NoReturn:
    raise AssertionError
