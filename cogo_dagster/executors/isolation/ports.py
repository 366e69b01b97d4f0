"""The TCP ports that an isolated command may use: those of the web, and free ones for test servers."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_WEB: Final = frozenset({53, 80, 443})
_ANY_FREE: Final = 0
_LISTENING: Final = "0A"
_DEFAULT_RANGE: Final = range(32_768, 61_000)


def usable_ports(more: Iterable[int], env: Mapping[str, str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ports to connect to and the ports to listen on.

    Both include the kernel's ephemeral port range, except ports that are listened on at present.

    Args:
        more: Additional ports, for both.
        env: Connections to the proxies that it names are allowed.
    """
    free = frozenset(ephemeral()) - listening()
    chosen = frozenset(more)
    return tuple(sorted(_WEB | free | chosen | _proxies(env))), tuple(sorted({_ANY_FREE} | free | chosen))


def ephemeral(file: Path = Path("/proc/sys/net/ipv4/ip_local_port_range")) -> range:
    """Return the kernel's ephemeral port range."""
    try:
        first, last = file.read_text().split()
        return range(int(first), int(last) + 1)
    except (OSError, ValueError):
        return _DEFAULT_RANGE


def listening(folder: Path = Path("/proc/net")) -> frozenset[int]:
    """Return the TCP ports that are listened on, on this machine."""
    found = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines = [line.split() for line in (folder / name).read_text().splitlines()[1:]]
            found |= {int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == _LISTENING}
    return frozenset(found)


def _proxies(env: Mapping[str, str]) -> set[int]:
    found = set()
    for name, value in env.items():
        if name.lower().endswith("_proxy"):
            with contextlib.suppress(ValueError):
                parts = urlsplit(value if "://" in value else f"http://{value}")
                found.add(parts.port or (443 if parts.scheme == "https" else 80))
    return found - {_ANY_FREE}
