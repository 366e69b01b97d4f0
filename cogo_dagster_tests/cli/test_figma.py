"""`cogo enqueue figma`, and a worker that has no token."""

from typing import Any

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.cli.terminal import Terminal

LINK = "https://www.figma.com/design/AbC123/Landing-page?node-id=12-345"


@pytest.mark.parametrize(
    ("words", "type", "payload"),
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
def test_the_options_say_which_kind_of_job_is_meant(
    cogo: Terminal, words: list[str], type: str, payload: dict[str, Any]
) -> None:
    """A file without more, nodes where nodes are named, renderings where a format or a size is."""
    job_id = cogo.ok("enqueue:figma", *words)["job_id"]
    job = cogo.ok("job", "show", job_id)
    assert (job["type"], job["payload"]) == (type, payload)


def test_variables_set_the_same_options(cogo: Terminal) -> None:
    """FIGMA_FILE_KEY, FIGMA_NODE_IDS, FIGMA_FORMAT and FIGMA_SCALE."""
    environment = {"FIGMA_FILE_KEY": "AbC", "FIGMA_NODE_IDS": "1:2 3-4", "FIGMA_FORMAT": "jpg", "FIGMA_SCALE": "0.5"}
    job = cogo.ok("job", "show", cogo.ok("enqueue:figma", **environment)["job_id"])
    assert job["payload"] == {"file_key": "AbC", "node_ids": ["1:2", "3:4"], "format": "jpg", "scale": 0.5}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no file to export: give --file-key, --payload, or set FIGMA_FILE_KEY."),
        (["--file-key", "a b"], "file_key must be a file key"),
        (["--file-key", "AbC", "--node-id", "x"], "'x' is not a node id"),
        (["--file-key", "AbC", "--format", "gif"], "'gif' is not one of"),
        (["--file-key", "AbC", "--scale", "nan", "--node-id", "1:2"], "scale"),
        (["--file-key", "AbC", "--type", "browser"], "figma, figma.nodes or figma.images, not 'browser'"),
        (["--payload", "{"], "--payload is not JSON"),
        (["--payload", "[]"], "The payload must be an object"),
    ],
)
def test_bad_input_is_refused_before_the_database_is_asked(nowhere: Terminal, words: list[str], sentence: str) -> None:
    """Exit code 2 and one sentence."""
    answer = nowhere.run("enqueue", "figma", *words)
    assert answer.code == 2
    assert sentence in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_a_circuit_is_shown_and_closed_by_hand(cogo: Terminal, transport: Transport) -> None:
    """With the reason; closing one that is not open says so."""
    assert cogo.ok("list", "limits") == []
    RateLimits(transport).open_circuit("figma:0123456789ab:tier1", 231_890, "Figma allows no more calls.")
    [row] = cogo.ok("list", "limits")
    assert (row["name"], row["reason"]) == ("figma:0123456789ab:tier1", "Figma allows no more calls.")
    assert "in 2 d" in cogo.run("list", "limits").out
    assert cogo.ok("resume", "limit", row["name"])["changed"] is True
    assert cogo.ok("resume", "limit", row["name"])["changed"] is False
    assert cogo.ok("list", "limits") == []


def test_a_worker_without_a_token_runs_the_rest_and_leaves_figma_waiting(
    cogo: Terminal, queue: Queue, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is lost: the job keeps its attempts, the log says why it is left, and so does --why."""
    cogo.ok("enqueue", "figma", "--file-key", "AbC")
    answer = cogo.run("worker", "--drain", "--json", FIGMA_API_TOKEN="", BROWSER_REAL_MODE="false")
    assert answer.code == 0
    assert "figma are left to other workers, since FIGMA_API_TOKEN is not set" in capfd.readouterr().err
    [job] = queue.list_jobs()
    assert (job.document["status"], job.document["attempts"]) == ("queued", 0)
    [worker] = queue.list_workers(alive_only=False, max_workers=10)
    assert "figma" not in worker.document["families"]
    assert "browser" in worker.document["families"]
