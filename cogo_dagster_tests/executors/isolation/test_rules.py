"""The rules of the isolation, independent of the machine: paths, ports, accounts, filters and messages."""

import errno
import os
import socket
import struct
from pathlib import Path
from typing import Final

import pytest

from cogo_dagster.executors.isolation import landlock, seccomp
from cogo_dagster.executors.isolation.accounts import NoAccount, reserved_account
from cogo_dagster.executors.isolation.launcher import seccomp_filter
from cogo_dagster.executors.isolation.machine import Isolation
from cogo_dagster.executors.isolation.paths import readable
from cogo_dagster.executors.isolation.plan import Plan
from cogo_dagster.executors.isolation.ports import ephemeral, listening, usable_ports

pytestmark = pytest.mark.linux("isolation needs Linux; gate commands do not run elsewhere")

ALLOWED: Final = 0
PLAN: Final = Plan(("/usr",), ("/w",), "/r", True, 7, None, "ports", (80, 443, 444), (0, 40_000))
X86: Final = 0xC000_003E
ARM: Final = 0xC000_00B7


def evaluate(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Evaluate a filter as the kernel does; return its errno, or 0."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = list(struct.iter_unpack("=HBBI", code))
    place = value = 0
    while True:
        operation, yes, no, constant = program[place]
        place += 1
        if operation == 0x20:
            value = struct.unpack_from("=I", data, constant)[0]
        elif operation == 0x54:
            value &= constant
        elif operation == 0x06:
            return constant & 0xFFFF if constant >> 16 == 5 else 0
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[operation]
            place += yes if holds else no


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", X86), ("aarch64", ARM)])
def test_the_filter_blocks_only_the_chosen_calls(machine: str, architecture: int) -> None:
    """The filter blocks the chosen calls and allows others, such as read(2) and common sockets."""
    numbers = {"x86_64": (41, 53, 44, 29, 302, 250, 0), "aarch64": (198, 199, 206, 194, 261, 219, 63)}[machine]
    make, pair, send, shared, limits, key, read = numbers
    strict = seccomp.program(seccomp.Filter(True, True, True, True, True), machine)
    loose = seccomp.program(seccomp.Filter(), machine)

    def evaluate_call(code: bytes, *arguments: int) -> int:
        return evaluate(code, architecture, *arguments)

    for code in (strict, loose):
        assert evaluate_call(code, key) == errno.EPERM
        assert evaluate_call(code, 425) == errno.ENOSYS
        assert evaluate_call(code, read, 3, 0, 100) == ALLOWED
        assert evaluate_call(code, make, socket.AF_INET, socket.SOCK_STREAM, 262) != ALLOWED
        assert evaluate_call(code, make, 40, socket.SOCK_STREAM) == errno.EACCES
        assert evaluate_call(code, make, 16, 3) == ALLOWED
        assert evaluate_call(code, send, 3, 0, 1, 0x2000_0000) == errno.EOPNOTSUPP
        assert evaluate_call(code, send, 3, 0, 1, 0x4000) == ALLOWED
        assert evaluate_call(code, pair, socket.AF_UNIX, socket.SOCK_STREAM | 0o2_000_000) == ALLOWED
        assert evaluate(code, 0x4000_0003, read) == errno.ENOSYS
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        assert evaluate_call(strict, make, family, socket.SOCK_STREAM) == errno.EACCES
        assert evaluate_call(loose, make, family, socket.SOCK_STREAM) == ALLOWED
    assert evaluate_call(strict, pair, socket.AF_UNIX, socket.SOCK_DGRAM | 0o2_000_000) == errno.EACCES
    assert [evaluate_call(strict, shared), evaluate_call(loose, shared)] == [errno.EPERM, ALLOWED]
    assert [evaluate_call(strict, limits, 0), evaluate_call(strict, limits, 77), evaluate_call(loose, limits, 77)] == [
        ALLOWED,
        errno.EPERM,
        ALLOWED,
    ]


def test_each_landlock_version_gets_only_supported_rights() -> None:
    """Each version gets only the rights that it supports: the struct grows at 4 and 6, file rights at 2, 3 and 5."""
    known = [landlock.attribute(version, network=True) for version in range(1, 9)]
    assert [len(one) for one in known] == [8, 8, 8, 16, 16, 24, 24, 24]
    files = [struct.unpack_from("=Q", one)[0].bit_length() for one in known]
    assert files == [13, 14, 15, 15, 16, 16, 16, 16]
    assert struct.unpack("=QQQ", landlock.attribute(7, network=False))[1:] == (0, 3)


NO_SPACES: Final = PLAN._replace(namespaces=False)


@pytest.mark.parametrize(
    ("plan", "blocked"),
    [
        (PLAN, set()),
        (NO_SPACES, {"unix", "ipc", "others"}),
        (NO_SPACES._replace(landlock=1, network="none"), {"unix", "internet", "ipc", "others", "truncate"}),
        (NO_SPACES._replace(uid=64_200), {"ipc"}),
        (NO_SPACES._replace(uid=64_200, landlock=5), {"ipc", "unix"}),
        (PLAN._replace(landlock=0, network="none"), set()),
        (PLAN._replace(landlock=4), {"unix"}),
    ],
)  # fmt: skip
def test_the_filter_covers_what_other_mechanisms_do_not(plan: Plan, blocked: set[str]) -> None:
    """The filter blocks what the other mechanisms of a plan do not restrict."""
    chosen = seccomp_filter(plan)
    assert {name for name in chosen._fields if getattr(chosen, name)} == blocked


def test_a_plan_is_serialized_and_parsed() -> None:
    """A plan with thousands of ports has a short serialized form."""
    plan = PLAN._replace(connect=tuple(range(32_768, 61_000)))
    assert Plan.loads(plan.dumps()) == plan
    assert len(plan.dumps()) < 200


def test_hidden_folders_are_excluded_from_readable_folders(tmp_path: Path) -> None:
    """Hidden folders are excluded, also through links; their siblings are readable."""
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    (tmp_path / "tools" / "cogo" / "vault").mkdir(parents=True)
    (tmp_path / "tools" / ".env").touch()
    (tmp_path / "tools" / "way").symlink_to("cogo/vault")
    hidden = [tmp_path / "tools" / "cogo", tmp_path / "tools" / ".env"]
    found = readable([], {"PATH": "/usr/bin"}, [tmp_path / "tools"], hidden)
    mine = {name.removeprefix(f"{tmp_path}/") for name in found if name.startswith(str(tmp_path))}
    assert mine == {"tools/bin", "tools/way"}
    assert readable([], {"PATH": "/usr/bin"}, [tmp_path / "tools" / "cogo" / "vault"], hidden) == readable(
        [], {"PATH": "/usr/bin"}, [], hidden
    )


def test_home_and_root_in_path_are_not_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a home folder, only toolchains that PATH refers to are readable."""
    home = tmp_path / "me"
    for name in (".pyenv/shims", ".ssh", ".local/bin", ".local/share/keyrings", ".cargo/bin", "bin"):
        (home / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    path = f"/:{tmp_path}:{home}:{home}/.pyenv/shims:{home}/.local/bin:/usr/bin:relative"
    found = set(readable([], {"PATH": path}, [], []))
    mine = {name.removeprefix(f"{home}/") for name in found if name.startswith(str(tmp_path))}
    assert mine == {".pyenv", ".pyenv/shims", ".local/bin"}
    assert not found & {"/", "/etc", "/home", "/root", "/var", "/tmp", "/run", str(tmp_path), str(home)}


def test_only_library_files_in_etc_are_readable() -> None:
    """Other files in /etc are not readable, since they can contain secrets."""
    found = {name for name in readable([], {"PATH": "/usr/bin"}, [], []) if name.startswith("/etc")}
    assert found.isdisjoint({"/etc", "/etc/ssl", "/etc/ssl/private", "/etc/shadow", "/etc/default", "/etc/systemd"})


def test_ports_are_those_of_the_web_and_free_ones() -> None:
    """Ports in use are excluded; ports of proxies and of the repository are added."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert taken in listening()
        connect, listen = usable_ports([8_080], {"HTTPS_PROXY": "http://proxy:3128", "PORT": "5432"})
    assert {53, 80, 443, 8_080, 3_128} <= set(connect)
    assert {0, 8_080} <= set(listen)
    assert not {taken, 3_000, 5_432, 8_780} & (set(connect) | set(listen))
    assert len(set(connect) & set(ephemeral())) > 1_000


def test_an_account_is_reserved_once_at_a_time(tmp_path: Path) -> None:
    """An account is reserved once at a time, and an error is raised if all are in use."""
    range_of_two = range(64_298, 64_300)
    with reserved_account(range_of_two, [tmp_path]) as first, reserved_account(range_of_two, [tmp_path]) as second:
        assert {first, second} == set(range_of_two)
        with pytest.raises(NoAccount, match="64298 to 64299"), reserved_account(range_of_two, [tmp_path]):
            pass
    with reserved_account(range(64_298, 64_299), [tmp_path]) as again:
        assert again == 64_298


def test_accounts_in_use_are_not_reserved(tmp_path: Path) -> None:
    """Accounts with a name or a process are not reserved, and a link is not used as the lock folder."""
    with pytest.raises(NoAccount), reserved_account(range(os.getuid(), os.getuid() + 1), [tmp_path]):
        pass
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        pytest.raises(NoAccount, match="no folder for locks"),
        reserved_account(range(64_298, 64_300), [tmp_path / "link"]),
    ):
        pass


def test_gaps_of_a_machine_are_described() -> None:
    """The gaps of a machine are described by what a commit's code could do."""
    assert Isolation(root=False, landlock=7, namespaces=True).gaps() == []
    assert Isolation(root=True, landlock=7, namespaces=True).gaps() == []
    old = " ".join(Isolation(root=False, landlock=1, namespaces=False).gaps())
    for expected in (
        "no network",
        "modes, timestamps",
        "signals",
        "names of all processes",
        "truncate toolchain files",
    ):
        assert expected in old
    assert not Isolation(root=True, landlock=0, namespaces=False).possible
    both = Isolation(root=True, landlock=6, namespaces=True).description()
    assert both == "Gate commands are isolated with a separate account, namespaces and Landlock (version 6)."
