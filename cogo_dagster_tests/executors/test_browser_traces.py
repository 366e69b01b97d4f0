"""Credentials are removed from traces."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.traces import clean_trace
from cogo_dagster_tests.executors.bench import Bench, artifact, names

CANARY = "canary-7f3a91d2"


def trace(folder: Path, **entries: str) -> Path:
    """Write a trace with these entries."""
    path = folder / "trace.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("_", "."), content)
    return path


def cleaned(folder: Path, *secrets: str, **entries: str) -> dict[str, str]:
    """Write a trace, clean it, and return its entries."""
    path = trace(folder, **entries)
    clean_trace(path, secrets)
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_credentials_in_headers_and_cookies_are_hidden(tmp_path: Path) -> None:
    """Values of credential headers and cookies are hidden, whatever the case of the name; other headers are kept."""
    event = {
        "type": "resource-snapshot",
        "snapshot": {
            "request": {
                "url": "https://example.com/",
                "headers": [
                    {"name": "Authorization", "value": f"Bearer {CANARY}"},
                    {"name": "X-Figma-Token", "value": CANARY},
                    {"name": "Accept", "value": "text/html"},
                ],
                "cookies": [{"name": "session", "value": CANARY, "path": "/"}],
            },
            "response": {"headers": [{"name": "set-cookie", "value": f"session={CANARY}; Path=/"}]},
        },
    }
    options = {"type": "context-options", "options": {"extraHTTPHeaders": {"authorization": f"Basic {CANARY}"}}}
    lines = "\n".join(json.dumps(line) for line in (options, event)) + "\n"
    content = cleaned(tmp_path, trace_network=lines, resources_html="<html>")
    assert CANARY not in str(content)
    assert "text/html" in content["trace.network"]
    assert [json.loads(line)["type"] for line in content["trace.network"].splitlines()] == [
        "context-options",
        "resource-snapshot",
    ]
    assert content["resources.html"] == "<html>"


def test_known_secrets_are_hidden_in_bodies_too(tmp_path: Path) -> None:
    """Known secrets are hidden in bodies, except very short ones, which would hide ordinary words."""
    content = cleaned(tmp_path, CANARY, "the", page_html=f"<p>the {CANARY}</p>")
    assert content["page.html"] == "<p>the [hidden]</p>"


@pytest.mark.parametrize("content", [b"", b"no zip file"])
def test_a_file_that_is_not_a_trace_is_rejected(tmp_path: Path, content: bytes) -> None:
    """A file that is not a trace is rejected, and no temporary file is left."""
    path = tmp_path / "trace.zip"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a ZIP file"):
        clean_trace(path, ())
    assert [file.name for file in tmp_path.iterdir()] == ["trace.zip"]


def test_a_trace_with_an_invalid_line_is_rejected(tmp_path: Path) -> None:
    """A trace with an invalid line is rejected."""
    with pytest.raises(ValueError, match="Expecting"):
        clean_trace(trace(tmp_path, trace_trace="{"), ())


@pytest.mark.parametrize(
    ("policy", "attempts", "max_attempts", "traced"),
    [
        ("retries", 1, 5, False),
        ("retries", 2, 5, True),
        ("retries", 1, 1, True),
        ("always", 1, 5, True),
        ("never", 2, 5, False),
    ],
)
def test_the_policy_decides_which_attempts_are_traced(
    policy: Any, attempts: int, max_attempts: int, traced: bool
) -> None:
    """COGO_BROWSER_TRACE selects which attempts are traced."""
    assert BrowserOptions(trace=policy).traces(attempts, max_attempts) is traced


def test_a_retry_leaves_a_trace_and_a_first_attempt_none(shared: Bench) -> None:
    """Only a retry leaves a trace; both attempts leave the other evidence."""
    payload = {"url": shared.site.url("/status/404")}
    left = {"screenshot.png", "page.html", "evidence.json"}
    assert names(shared.fail(payload)) == left
    assert names(shared.fail(payload, attempts=2)) == left | {"trace.zip"}
    assert names(shared.fail({**payload, "trace": False}, attempts=2)) == left


def test_a_payload_can_ask_for_a_trace(shared: Bench) -> None:
    """With `trace` in the payload a trace is kept on success too, without cookies."""
    payload = {
        "url": shared.site.url("/"),
        "screenshot": True,
        "trace": True,
        "extra_headers": {"Cookie": f"a={CANARY}"},
    }
    found = shared.run(payload)
    assert names(found) == {"screenshot.png", "page.html", "trace.zip"}
    with zipfile.ZipFile(io.BytesIO(artifact(found, "trace.zip"))) as archive:
        assert CANARY.encode() not in b"".join(archive.read(name) for name in archive.namelist())
