"""The systemd units."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import entry_points
from pathlib import Path
from unittest import mock

import pytest

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.programs import required

UNITS = sorted((PROJECT_ROOT / "deploy").glob("*/*.service"))


def service(unit: Path) -> dict[str, str]:
    """Return the section Service of a unit; of a repeated key, the last value."""
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return dict(parser["Service"])


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` reports no unknown key, missing program or invalid value."""
    [analyze] = required("systemd-analyze")
    program = tmp_path / "bin"
    program.mkdir()
    for name in ("celery", "cogo", "dagster", "dagster-daemon", "dagster-webserver"):
        shutil.copy(shutil.which("true") or "/bin/true", program / name)
    for unit in UNITS:
        text = unit.read_text().replace("/srv/cogo/.venv/bin", str(program)).replace("/srv/cogo", str(tmp_path))
        (tmp_path / unit.name.replace("@.", "@1.")).write_text(text)
    units = [str(path) for path in sorted(tmp_path.glob("*.service"))]
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    about_ours = [line for line in done.stderr.splitlines() if "cogo" in line or str(tmp_path) in line]
    assert (done.returncode, about_ours) == (0, [])


def help_of(program: str, *subcommand: str) -> str:
    """Return the help text of a script, whose function is called in this process."""
    [script] = entry_points(group="console_scripts", name=program)
    with (
        mock.patch.object(sys, "argv", [program, *subcommand, "--help"]),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(io.StringIO()) as out,
        pytest.raises(SystemExit) as ended,
    ):
        sys.exit(script.load()())
    assert not ended.value.code
    return out.getvalue()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_exists(unit: Path) -> None:
    """The command is a script of this project or of Dagster, and its arguments are known to it."""
    program, *arguments = service(unit)["ExecStart"].split()
    script = Path(sys.executable).with_name(Path(program).name)
    assert os.access(script, os.X_OK)
    words = [word for word in arguments if not word.startswith("-")]
    if arguments[0] == "--app":
        arguments, words = arguments[2:], words[1:]
    subcommand = words[:2] if words[:1] == ["api"] else words[:1]
    shown = help_of(script.name, *subcommand)
    assert [word for word in arguments if word.startswith("--") and word not in shown] == []
    for number, word in enumerate(arguments):
        if word == "--workspace":
            assert (PROJECT_ROOT / arguments[number + 1]).is_file()


def test_a_worker_has_time_to_stop() -> None:
    """The worker alone receives SIGTERM, and has its grace period and 30 seconds."""
    worker = service(PROJECT_ROOT / "deploy" / "systemd" / "cogo-worker@.service")
    assert worker["KillMode"] == "mixed"
    assert int(worker["TimeoutStopSec"]) >= 25 + 30
    assert worker["RestartPreventExitStatus"].split() == ["2", "5"]
