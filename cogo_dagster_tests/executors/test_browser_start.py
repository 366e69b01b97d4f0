"""What keeps a browser from starting is one sentence that says what to do: Node.js, the sandbox, temporary files."""

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
from cogo_dagster_tests.executors.bench import OPTIONS, bench
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.executors.test_browser_settings import unavailable
from cogo_dagster_tests.processes import environment

USER = "user namespaces"


def script(path: Path, text: str) -> Path:
    """A program of one's own."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "echo 'node: error while loading shared libraries: libatomic.so.1: cannot open it' >&2; exit 127",
            "the library libatomic.so.1 is missing: run `",
        ),
        ("echo 'Illegal instruction' >&2; exit 4", "does not run: Illegal instruction: install Playwright again"),
        ("exit 4", "does not run: exit code 4: install Playwright again"),
    ],
)
def test_a_node_that_does_not_run_is_named_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    """It is no failed download and no dead driver."""
    node = script(tmp_path / "node", text)
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
    monkeypatch.setattr(executor_module, "find_browser", _not_reached)
    said = unavailable(OPTIONS)
    assert f"Playwright's driver does not start, since its Node.js ({node}) does not run" in said
    assert sentence in said
    assert "PLAYWRIGHT_NODEJS_PATH" in said
    assert ("apt-get install libatomic1`" in said) is ("libatomic" in text)


def test_a_node_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the operator spelt it."""
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", "/no/such/node")
    with pytest.raises(ExecutorUnavailable, match=r"\(/no/such/node\) does not run: No such file or directory"):
        check_node()


def test_the_node_of_playwright_needs_nothing_that_a_bare_debian_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base system has the C and C++ runtime, and no libatomic1."""
    monkeypatch.delenv("PLAYWRIGHT_NODEJS_PATH", raising=False)
    needed = subprocess.run(["ldd", node_program()], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].rpartition("/")[2].partition(".so")[0] for line in needed.splitlines()}
    assert names <= {"linux-vdso", "libdl", "libstdc++", "libm", "libgcc_s", "libpthread", "libc", "ld-linux-x86-64"}


def test_a_driver_that_dies_at_its_start_makes_the_executor_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Playwright raises then."""
    node = script(tmp_path / "node", '[ "$1" = --version ] && exit; exit 3')
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
    assert unavailable(OPTIONS) == "Playwright's driver ended while it started the browser."


def test_a_temporary_folder_that_runs_no_programs_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where it was mounted with noexec; nothing is started then."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "driver" and access(path, mode))
    said = unavailable(OPTIONS)
    assert "no program can be run from /tmp (mounted with noexec): set TMPDIR" in said


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which variable chooses another place."""

    def full() -> NoReturn:
        raise OSError(28, "No space left on device", "/tmp/x")

    monkeypatch.setattr(process, "scratch_folder", full)
    said = unavailable(OPTIONS)
    assert "temporary files cannot be written (/tmp/x): No space left on device" in said
    assert "TMPDIR" in said


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize(
    "message",
    [
        "[FATAL:content/browser/zygote_host/zygote_host_impl_linux.cc:129] No usable sandbox! If you are on Ubuntu",
        "Failed to move to new namespace: PID namespaces supported, Network namespace supported, but failed: errno = 1",
        "[ERROR:zygote_host_impl_linux.cc] Running as root without --no-sandbox is not supported",
    ],
)
def test_every_way_out_of_a_missing_sandbox_is_named(monkeypatch: pytest.MonkeyPatch, message: str, root: bool) -> None:
    """An ordinary user is told the cause and three remedies, and never to be another user."""
    monkeypatch.setattr(process, "is_root", lambda: root)
    error = process._unavailable(message, BrowserChoice(Path("/b"), "Chromium 1.0", "system"))
    assert isinstance(error, SandboxUnavailable)
    said = str(error)
    assert ("run the worker as another user" in said) is root
    remedies = ["Google Chrome", "AppArmor profile", "kernel.apparmor_restrict_unprivileged_userns=0"]
    assert [word for word in remedies if word in said] == ([] if root else remedies)
    assert "NO_SANDBOX=true" in said


def test_a_browser_without_a_library_is_not_called_a_broken_driver() -> None:
    """The library, and the command that installs it."""
    message = "x: error while loading shared libraries: libnss3.so: cannot open shared object file"
    said = process._launch_message(message, BrowserChoice(Path("/b"), "Chromium 1.0", "playwright"))
    assert said.startswith("/b does not start, since the library libnss3.so is missing: run `")


@pytest.fixture
def latin_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one font, which has no Korean."""
    found = subprocess.run(["fc-match", "-f", "%{file}", "DejaVu Sans"], capture_output=True, text=True, check=True)
    (tmp_path / "fonts").mkdir()
    shutil.copy(found.stdout, tmp_path / "fonts")
    configuration = tmp_path / "fonts.conf"
    configuration.write_text(
        f"<fontconfig><dir>{tmp_path}/fonts</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    monkeypatch.setenv("FONTCONFIG_FILE", str(configuration))


@pytest.mark.usefixtures("latin_only")
def test_a_worker_says_which_scripts_are_boxes(caplog: pytest.LogCaptureFixture) -> None:
    """By rendering a glyph of each, with the command that helps."""
    missing = asyncio.run(try_browser(replace(OPTIONS, install=False)))
    assert {"Hangul", "Han", "Hiragana", "Katakana"} <= set(missing)
    assert not {"Latin", "Greek", "Cyrillic"} & set(missing)
    assert "Hangul, Han" in caplog.text
    assert "fonts" in caplog.text.partition("no font has its glyphs. ")[2]


@pytest.mark.usefixtures("latin_only")
def test_a_job_notes_text_that_is_boxes(site: Site, folder: Path) -> None:
    """Only for what stands on its page, where it can be seen."""
    site.pages["/korean"] = "<title>x</title><p>안녕 Hello</p>"
    site.pages["/hidden"] = "<title>x</title><p>Hello</p><p style='display: none'>안녕</p><script>'안녕'</script>"
    with bench(site, folder) as started:
        [note] = started.run({"url": site.url("/korean")}).result["notes"]
        assert note.startswith("The page has Hangul text, for which this machine has no font")
        assert started.run({"url": site.url("/hidden")}).result["notes"] == []


def test_crash_reports_stay_with_the_profile(site: Site, folder: Path) -> None:
    """Debian's Chromium would keep them in the home folder."""
    with bench(site, folder) as started:
        variables = environment(started.running.browser_pid)
    assert variables["BREAKPAD_DUMP_LOCATION"] == variables["TMPDIR"]


def _not_reached(options: BrowserOptions, install: bool) -> NoReturn:
    raise AssertionError
