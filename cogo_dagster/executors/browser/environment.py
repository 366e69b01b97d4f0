"""The environment of the programs that run a browser: an allow-list, so that it contains no secret."""

from collections.abc import Mapping

_KEPT = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR",
        "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS",
        "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "FONTCONFIG_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
        "PLAYWRIGHT_BROWSERS_PATH", "PLAYWRIGHT_NODEJS_PATH",
    }
)  # fmt: skip
_KEPT_PREFIXES = ("LC_", "XDG_")
_KEPT_TO_INSTALL = frozenset(
    {
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
        "PLAYWRIGHT_DOWNLOAD_HOST", "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT",
    }
)  # fmt: skip


def clean_environment(environment: Mapping[str, str], *, installing: bool = False) -> dict[str, str]:
    """Return the variables of *environment* that a browser or its installer gets.

    Not every `PLAYWRIGHT_*` variable is kept: `PLAYWRIGHT_DISABLE_FORCED_CHROMIUM_PROXIED_LOOPBACK` would let pages
    reach this machine without the proxy. A proxy URL can contain a password, so only the installer gets it.
    """
    names = _KEPT | _KEPT_TO_INSTALL if installing else _KEPT
    kept = {name: value for name, value in environment.items() if name in names or name.startswith(_KEPT_PREFIXES)}
    return kept | {"DEBIAN_FRONTEND": "noninteractive"} if installing else kept
