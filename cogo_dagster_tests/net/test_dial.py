"""Resolving, checking and connecting in one step, so that DNS answers cannot change in between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import pytest

from cogo_dagster.net.addresses import IPAddress
from cogo_dagster.net.dial import Dialer, HopFailed


def names(answers: dict[str, list[str]]) -> Callable[[str], Awaitable[Sequence[str]]]:
    """Return a resolver with one answer per lookup of a name; `a|b` is two addresses."""

    async def resolve(host: str) -> list[str]:
        if host not in answers:
            raise OSError(-2, "Name or service not known")
        return answers[host].pop(0).split("|")

    return resolve


@dataclass(frozen=True, slots=True)
class RecordingDialer(Dialer):
    """Records the addresses instead of connecting to them."""

    opened: list[IPAddress] = field(default_factory=list)

    async def _open(self, addresses: Sequence[IPAddress], port: int, authority: str, protocol: object) -> NoReturn:  # noqa: ARG002
        self.opened.extend(addresses)
        raise HopFailed("connection", authority, "not in this test")


def test_dns_rebinding_is_blocked() -> None:
    """The checked address is connected to, and the next request resolves and checks again."""

    async def scenario() -> None:
        answers = {"rebind.example": ["93.184.216.34", "127.0.0.1"]}
        dialer = RecordingDialer(resolver=names(answers))
        with pytest.raises(HopFailed) as first:
            await dialer.connect("rebind.example", 80, asyncio.Protocol)
        assert first.value.kind == "connection"
        assert answers == {"rebind.example": ["127.0.0.1"]}  # one lookup, not a second one for connecting
        with pytest.raises(HopFailed) as second:
            await dialer.connect("rebind.example", 80, asyncio.Protocol)
        assert second.value.kind == "blocked_address"
        assert [str(address) for address in dialer.opened] == ["93.184.216.34"]

    asyncio.run(scenario())


def test_every_address_of_a_name_is_checked() -> None:
    """One private address among public ones blocks the name."""

    async def scenario() -> None:
        dialer = RecordingDialer(resolver=names({"mixed.example": ["93.184.216.34|10.0.0.1"]}))
        with pytest.raises(HopFailed) as failed:
            await dialer.connect("mixed.example", 443, asyncio.Protocol)
        assert failed.value.kind == "blocked_address"
        assert dialer.opened == []

    asyncio.run(scenario())


PRIVATE_NAMES = {
    "127.0.0.1.nip.io": "127.0.0.1",
    "10-0-0-1.sslip.io": "10.0.0.1",
    "app.192.168.1.1.nip.io": "192.168.1.1",
    "7f000001.nip.io": "127.0.0.1",
    "--1.sslip.io": "::1",
    "localtest.me": "127.0.0.1",
    "lvh.me": "127.0.0.1",
    "ec2.169.254.169.254.nip.io": "169.254.169.254",
    "metadata.google.internal": "169.254.169.254",
    "mapped.example": "::ffff:10.0.0.1",
    "nat64.example": "64:ff9b::a00:1",
    "six-to-four.example": "2002:7f00:1::",
    "unique-local.example": "fd00:ec2::254",
    "link-local.example": "fe80::1",
    "carrier.example": "100.64.0.1",
    "nowhere.example": "0.0.0.0",
    "shared.example": "224.0.0.1",
    "xn--bcher-kva.example": "172.16.0.1",
}
"""Public names with private addresses, as some public DNS services offer them."""


@pytest.mark.parametrize("name", PRIVATE_NAMES)
@pytest.mark.parametrize("dot", ["", "."], ids=["", "rooted"])
def test_a_public_name_of_a_private_address_is_blocked(name: str, dot: str) -> None:
    """The address is checked, regardless of the name."""

    async def scenario() -> None:
        dialer = RecordingDialer(resolver=names({name + end: [PRIVATE_NAMES[name]] for end in ("", ".")}))
        with pytest.raises(HopFailed) as failed:
            await dialer.connect(name + dot, 443, asyncio.Protocol)
        assert failed.value.kind == "blocked_address"
        assert dialer.opened == []

    asyncio.run(scenario())
