"""`cogo enqueue figma`, and a worker without a token."""

from typing import Any

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.cli.terminal import Terminal

LINK = "https://www.figma.com/design/AbC123/Landing-page?node-id=12-345"


@pytest.mark.parametrize(
    ("arguments", "type", "payload"),
    [
        (["--file-key", "AbC"], "figma", {"file_key": "AbC"}),
        (["--file-key", LINK], "figma.nodes", {"file_key": "AbC123", "node_ids": ["12:345"]}),
        (["--file-key", LINK, "--type", "figma", "--depth", "1"], "figma", {"file_key": "AbC123", "depth": 1}),
        (
            ["--file-key", "AbC", "--node-id", "1:2,3-4", "--node-id", "5:6"],
            "figma.nodes",
            {"file_key": "AbC", "node_ids": ["1:2", "3:4", "5:6"]},
        ),
        (
            ["--file-key", "AbC", "--node-id", "1:2", "--scale", "2", "--version", "77"],
            "figma.images",
            {"file_key": "AbC", "node_ids": ["1:2"], "scale": 2.0, "version": "77"},
        ),
        (
            ["--payload", '{"file_key": "XyZ", "svg_include_id": true, "format": "svg"}', "--node-id", "1:2"],
            "figma.images",
            {"file_key": "XyZ", "node_ids": ["1:2"], "format": "svg", "svg_include_id": True},
        ),
    ],
)
def test_the_options_select_the_job_type(
    cogo: Terminal, arguments: list[str], type: str, payload: dict[str, Any]
) -> None:
    """The type is figma.nodes with node IDs, figma.images with a format or scale, and figma otherwise."""
    job_id = cogo.ok("enqueue:figma", *arguments)["job_id"]
    job = cogo.ok("job", "show", job_id)
    assert (job["type"], job["payload"]) == (type, payload)


def test_variables_set_the_same_options(cogo: Terminal) -> None:
    """FIGMA_FILE_KEY, FIGMA_NODE_IDS, FIGMA_FORMAT and FIGMA_SCALE set the payload."""
    environment = {"FIGMA_FILE_KEY": "AbC", "FIGMA_NODE_IDS": "1:2 3-4", "FIGMA_FORMAT": "jpg", "FIGMA_SCALE": "0.5"}
    job = cogo.ok("job", "show", cogo.ok("enqueue:figma", **environment)["job_id"])
    assert job["payload"] == {"file_key": "AbC", "node_ids": ["1:2", "3:4"], "format": "jpg", "scale": 0.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No file to export: use --file-key or --payload, or set FIGMA_FILE_KEY."),
        (["--file-key", "a b"], "file_key must be a file key"),
        (["--file-key", "AbC", "--node-id", "x"], "'x' is not a node id"),
        (["--file-key", "AbC", "--format", "gif"], "'gif' is not one of"),
        (["--file-key", "AbC", "--scale", "nan", "--node-id", "1:2"], "scale"),
        (["--file-key", "AbC", "--type", "browser"], "figma, figma.nodes or figma.images, not 'browser'"),
        (["--payload", "{"], "--payload is not JSON"),
        (["--payload", "[]"], "The payload must be an object"),
    ],
)
def test_invalid_input_is_rejected_without_a_database(nowhere: Terminal, arguments: list[str], message: str) -> None:
    """The exit code is 2, with one message."""
    answer = nowhere.run("enqueue", "figma", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_a_rate_limit_is_listed_and_ended(cogo: Terminal, transport: Transport) -> None:
    """A limit is listed with its reason; ending one that is not in effect changes nothing."""
    assert cogo.ok("list", "limits") == []
    RateLimits(transport).open_circuit("figma:0123456789ab:tier1", 231_890, "Figma allows no more calls.")
    [row] = cogo.ok("list", "limits")
    assert (row["name"], row["reason"]) == ("figma:0123456789ab:tier1", "Figma allows no more calls.")
    assert "in 3 d" in cogo.run("list", "limits").out
    assert cogo.ok("resume", "limit", row["name"])["changed"] is True
    assert cogo.ok("resume", "limit", row["name"])["changed"] is False
    assert cogo.ok("list", "limits") == []


def test_a_worker_without_a_token_does_not_serve_figma(
    cogo: Terminal, queue: Queue, capfd: pytest.CaptureFixture[str]
) -> None:
    """The job stays queued without losing an attempt, and the log names the missing setting."""
    cogo.ok("enqueue", "figma", "--file-key", "AbC")
    answer = cogo.run("worker", "--drain", "--json", FIGMA_API_TOKEN="", BROWSER_REAL_MODE="false")
    assert answer.code == 0
    assert "The family figma is not served: FIGMA_API_TOKEN is not set" in capfd.readouterr().err
    [job] = queue.list_jobs()
    assert (job.document["status"], job.document["attempts"]) == ("queued", 0)
    [worker] = queue.list_workers(alive_only=False, max_workers=10)
    assert "figma" not in worker.document["families"]
    assert "browser" in worker.document["families"]
