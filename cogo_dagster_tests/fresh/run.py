"""Runs one row: a temporary machine on which the README's commands are executed as written."""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.fresh.access import shared_paths, variables
from cogo_dagster_tests.fresh.rows import Row

_MACHINE: Final = """set -eu
mount -t overlay overlay -o lowerdir={base},upperdir={layer}/upper,workdir={layer}/work {root}
mount -t proc proc {root}/proc
mount --rbind /sys {root}/sys
mount -t tmpfs tmpfs {root}/dev
for name in null zero full random urandom tty; do touch {root}/dev/$name; mount --bind /dev/$name {root}/dev/$name; done
mkdir {root}/dev/shm {root}/dev/pts
mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts {root}/dev/pts
ln -s pts/ptmx {root}/dev/ptmx
ln -s /proc/self/fd {root}/dev/fd
"""
_SUCCEEDED: Final = " succeeded "
_TAIL_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a row; the message has the end of the log if it failed."""

    passed: bool
    sentence: str


def run_row(row: Row, base: Path, folder: Path) -> Outcome:
    """Start the machine, run the commands and remove the machine; the log is kept."""
    name = row.name.replace(" ", "-")
    layer, log = folder / f"{name}.layer", folder / f"{name}.log"
    shutil.rmtree(layer, ignore_errors=True)
    for part in ("upper", "work", "root"):
        (layer / part).mkdir(parents=True)
    started = time.monotonic()
    try:
        with log.open("wb") as output:
            code = _run(_script(row, base, layer, folder), output, row.limit_seconds)
    finally:
        shutil.rmtree(layer, ignore_errors=True)
    return _outcome(row, code, time.monotonic() - started, log)


def _outcome(row: Row, code: int, seconds: float, log: Path) -> Outcome:
    said = log.read_text(encoding="utf-8", errors="replace")
    shown = row.what == "tests" or (said.count(_SUCCEEDED) >= 3 and "Traceback" not in said)
    if code == 0 and shown:
        return Outcome(True, f"passed in {seconds:.0f} s")
    tail = "\n    ".join(said.splitlines()[-_TAIL_LINES:])
    return Outcome(False, f"FAILED with exit code {code} after {seconds:.0f} s: {log}\n    {tail}")


def _run(script: str, output: IO[bytes], limit_seconds: float) -> int:
    command = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
        "bash",
        "-c",
        script,
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as machine:
        try:
            return machine.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            return 124
        finally:
            machine.kill()  # it is the parent of its namespace's first process, so all others end too


def _script(row: Row, base: Path, layer: Path, folder: Path) -> str:
    root, home = layer / "root", "/root" if row.account == "root" else f"/home/{row.account}"
    lines = [_MACHINE.format(base=base, layer=layer, root=root)]
    kept = {folder / "cache" / row.suite / "apt": "/var/cache/apt/archives"}
    for cache in ("uv", "pip"):
        kept[folder / "cache" / f"{row.suite}-{row.account}" / cache] = f"{home}/.cache/{cache}"
    for path in kept:
        path.mkdir(parents=True, exist_ok=True)
    for path, place in shared_paths(home).items():
        # Packages write to the folders of the configuration: ssl-cert to that of certificates.
        lines += _copied(path, root, place) if place.startswith("/etc/") else _bound(path, root, place, "ro")
    for path, place in kept.items():
        lines += _bound(path, root, place, "rw")
    inside = [sys.executable, "-m", "cogo_dagster_tests.fresh.enter", str(root), row.name.split()[2]]
    own_mounts = "unshare --mount --propagation private"
    enter = f"PYTHONPATH={shlex.quote(str(PROJECT_ROOT))} {own_mounts} {shlex.join(inside)}"
    lines.append(f"git clone -q {shlex.quote(str(PROJECT_ROOT))} {root}/tmp/cogo")
    lines += [f"{enter} bash -ec {shlex.quote(_prepared(row, home))}"]
    lines += [f"{enter} {shlex.join(_typed(row))}"]
    lines += ["exit"]  # bash stays the first process, and reaps orphans as an init does
    return "\n".join(lines)


def _copied(path: Path, root: Path, place: str) -> Sequence[str]:
    source, target = shlex.quote(str(path)), shlex.quote(f"{root}{place}")
    if path.is_file():
        return (f"mkdir -p $(dirname {target})", f"cp -L --remove-destination {source} {target}")
    return (f"mkdir -p {target}", f"cp -rL --remove-destination {source}/. {target}")


def _bound(path: Path, root: Path, place: str, mode: str) -> Sequence[str]:
    source, target = shlex.quote(str(path)), shlex.quote(f"{root}{place}")
    make = f"mkdir -p {target}" if path.is_dir() else f"mkdir -p $(dirname {target}); rm -f {target}; touch {target}"
    return (make, f"mount --bind -o {mode} {source} {target}")


def _prepared(row: Row, home: str) -> str:
    """Return the commands that prepare the machine: an account, a clone, and what the README has root install."""
    ours = [f"export {shlex.quote(name)}={shlex.quote(value)}" for name, value in variables().items()]
    account = [] if row.account == "root" else [f"useradd -m -s /bin/bash {row.account}", f"mkdir -p {home}"]
    return "\n".join(
        [
            *account,
            f"mv /tmp/cogo {home}/cogo",
            f"cat > /etc/profile.d/indexes.sh <<'END'\n{chr(10).join(ours)}\nEND",
            f"mkdir -p {home}/.cache",
            f"chown {row.account}: {home} {home}/.cache {home}/.cache/*",
            f"chown -R {row.account}: {home}/cogo",
            "apt-get -qq update",
            *(f"yes | {command}" for command in row.before),
            # Debian's package has a setuid helper, which a downloaded browser does not.
            *([] if row.namespaces else ["rm -f /usr/lib/chromium/chrome-sandbox"]),
        ]
    )


def _typed(row: Row) -> list[str]:
    """Return a login shell of the account in the clone, which runs the README's lines one after another."""
    lines = "\n".join(["set -e", "cd ~/cogo", *(f"echo + {shlex.quote(line)}\n{line}" for line in row.commands)])
    return ["su", "-", row.account, "-c", f"bash -lc {shlex.quote(lines)}"]
