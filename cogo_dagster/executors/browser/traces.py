"""Removes credentials from a browser trace, which contains every header and cookie of the session."""

import json
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from cogo_dagster.redaction import HIDDEN
from cogo_dagster.text import load_json

_NAMES: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "apikey",
        "api-key",
        "x-api-key",
        "x-admin-token",
        "x-figma-token",
        "x-csrf-token",
    }
)
_LISTS: Final = frozenset({"cookies"})
_MIN_SECRET_LENGTH: Final = 6


def clean_trace(trace: Path, secrets: Collection[str]) -> None:
    """Rewrite a trace in place without the values of cookies and of headers with credentials.

    Args:
        trace: The ZIP file that Playwright wrote.
        secrets: Values that are hidden everywhere, also in recorded bodies.

    Raises:
        ValueError: The file is not a trace and must not be kept.
    """
    fresh = trace.with_suffix(".clean")
    hidden = [secret.encode() for secret in sorted(secrets, key=len, reverse=True) if len(secret) >= _MIN_SECRET_LENGTH]
    try:
        with zipfile.ZipFile(trace) as recorded, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as cleaned:
            for entry in recorded.infolist():
                content = recorded.read(entry)
                if entry.filename.endswith((".trace", ".network")):
                    content = b"\n".join(_clean_line(line) for line in content.splitlines())
                for secret in hidden:
                    content = content.replace(secret, HIDDEN.encode())
                cleaned.writestr(entry.filename, content)
        fresh.replace(trace)
    except zipfile.BadZipFile as error:
        raise ValueError("The trace is not a ZIP file.") from error
    finally:
        fresh.unlink(missing_ok=True)


def _clean_line(line: bytes) -> bytes:
    if not line.strip():
        return line
    return json.dumps(_clean(load_json(line)), ensure_ascii=False, separators=(",", ":")).encode()


def _clean(value: Any, within: str = "") -> Any:
    if isinstance(value, list):
        return [_clean(item, within) for item in value]
    if not isinstance(value, dict):
        return value
    secret = within in _LISTS or str(value.get("name", "")).lower() in _NAMES
    return {
        name: HIDDEN
        if isinstance(item, str) and ((secret and name == "value") or name.lower() in _NAMES)
        else _clean(item, name)
        for name, item in value.items()
    }
