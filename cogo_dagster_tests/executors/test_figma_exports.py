"""Figma jobs end to end: API calls, exported files, failed nodes and the cache."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cogo_dagster.executors.figma import rate_gate
from cogo_dagster_tests.executors.figma_bench import FigmaBench
from cogo_dagster_tests.executors.figma_server import IMAGES


def test_a_file_is_exported_unchanged(figma: FigmaBench) -> None:
    """The file is requested after its metadata, and the result has its version."""
    row = figma.run("figma", depth=2, geometry="paths")
    assert row["status"] == "succeeded", row["error"]
    assert json.loads(figma.content(row, "file.json"))["document"]["type"] == "DOCUMENT"
    assert figma.figma.paths() == ["/v1/files/KEY/meta", "/v1/files/KEY"]
    assert figma.figma.requests[1].query == {"depth": "2", "geometry": "paths"}
    assert row["result"] == {
        "file_key": "KEY",
        "name": "Landing",
        "version": "1001",
        "last_modified": "2026-11-20T08:00:00Z",
        "files": {"file": "file.json"},
        "failed": {},
        "cached": 0,
        "calls": 2,
    }


def test_each_node_is_a_file_and_a_missing_node_is_listed(figma: FigmaBench) -> None:
    """A node for which Figma returns null is listed as failed, and the job succeeds."""
    row = figma.run("figma.nodes", node_ids=["1-2", "9:9", "1:3"])
    assert row["status"] == "succeeded", row["error"]
    assert json.loads(figma.content(row, "1-2.json"))["document"]["name"] == "Frame 2"
    assert row["result"]["files"] == {"1:2": "1-2.json", "1:3": "1-3.json"}
    assert row["result"]["failed"] == {"9:9": "the node does not exist"}
    assert figma.figma.requests[-1].ids == ["1:2", "9:9", "1:3"]


def test_images_come_in_batches_of_fifty(figma: FigmaBench) -> None:
    """120 nodes take three calls, and every image is kept."""
    row = figma.run(node_ids=[f"1:{n}" for n in range(1, 121)])
    assert row["status"] == "succeeded", row["error"]
    assert [len(batch) for batch in figma.figma.batches()] == [50, 50, 20]
    assert figma.content(row, "1-120.png") == IMAGES["png"] + b" 1:120 of 1001"
    assert len(row["result"]["files"]) == 120


@pytest.mark.parametrize(
    ("options", "query", "name"),
    [
        ({"format": "svg", "svg_include_id": True}, {"format": "svg", "svg_include_id": "true"}, "1-1.svg"),
        ({"format": "svg", "svg_outline_text": False}, {"format": "svg", "svg_outline_text": "false"}, "1-1.svg"),
        ({"format": "jpg", "scale": 0.25}, {"format": "jpg", "scale": "0.25"}, "1-1.jpg"),
        ({"format": "pdf", "use_absolute_bounds": True}, {"format": "pdf", "use_absolute_bounds": "true"}, "1-1.pdf"),
        ({"scale": 4, "contents_only": False}, {"scale": "4", "contents_only": "false"}, "1-1.png"),
        ({"version": "77"}, {"version": "77"}, "1-1.png"),
    ],
)
def test_options_are_sent_in_the_spelling_of_figma(
    figma: FigmaBench, options: dict[str, Any], query: dict[str, str], name: str
) -> None:
    """Options are sent in Figma's spelling; the fake validates them against the OpenAPI document."""
    row = figma.run(node_ids=["1:1"], **options)
    assert row["status"] == "succeeded", row["error"]
    assert figma.figma.requests[-1].query == {"ids": "1:1", **query}
    assert row["result"]["files"] == {"1:1": name}


def test_a_node_that_cannot_be_rendered_is_listed(figma: FigmaBench) -> None:
    """A node without an image is listed as failed, and the others are exported."""
    figma.figma.unrenderable = {"1:2"}
    row = figma.run(node_ids=["1:1", "1:2", "7:7"])
    assert row["status"] == "succeeded", row["error"]
    assert row["result"]["files"] == {"1:1": "1-1.png"}
    assert set(row["result"]["failed"]) == {"1:2", "7:7"}


@pytest.mark.parametrize("type", ["figma.images", "figma.nodes"])
def test_a_job_without_any_exported_node_fails_permanently(figma: FigmaBench, type: str) -> None:
    """A job without any exported node fails permanently."""
    row = figma.run(type, node_ids=["7:7", "8:8"])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("failed", 1, "figma_nothing")
    assert row["error"]["message"].startswith("None of the 2 nodes could be exported; node 7:7: ")


def test_a_repeated_export_makes_one_cheap_call(figma: FigmaBench) -> None:
    """A repeated export makes one cheap call and copies the files, which remain when the first job's are deleted."""
    first = figma.run(node_ids=["1:1", "1:2"])
    second = figma.run(node_ids=["1:2", "1:1"])
    assert (second["result"]["cached"], second["result"]["calls"]) == (2, 1)
    assert figma.figma.paths()[2:] == ["/v1/files/KEY/meta"]
    for artifact in first["artifacts"]:
        figma.store.delete(artifact["storage_key"])
    assert figma.content(second, "1-1.png") == IMAGES["png"] + b" 1:1 of 1001"


def test_only_nodes_that_are_not_cached_are_requested(figma: FigmaBench) -> None:
    """Jobs share cached nodes."""
    figma.run(node_ids=["1:1", "1:2"])
    figma.run(node_ids=["1:2", "1:3"])
    assert figma.figma.batches() == [["1:1", "1:2"], ["1:3"]]


@pytest.mark.parametrize("type", ["figma", "figma.nodes", "figma.images"])
def test_a_changed_file_is_exported_again(figma: FigmaBench, type: str) -> None:
    """A new version of the file is exported again, with the same parameters."""
    nodes = {} if type == "figma" else {"node_ids": ["1:1"]}
    figma.run(type, **nodes)
    figma.figma.version = "1002"
    assert figma.run(type, **nodes)["result"]["cached"] == 0
    assert figma.run(type, **nodes)["result"]["cached"] == 1


def test_parameters_are_part_of_the_cache_key(figma: FigmaBench) -> None:
    """Scale, format and type are part of the cache key."""
    figma.run(node_ids=["1:1"])
    for type, options in (("figma.images", {"scale": 2}), ("figma.images", {"format": "svg"}), ("figma.nodes", {})):
        assert figma.run(type, node_ids=["1:1"], **options)["result"]["cached"] == 0


def test_with_a_version_no_metadata_is_requested(figma: FigmaBench) -> None:
    """With a version in the payload no metadata is requested, and a repeated export makes no call."""
    assert figma.run(node_ids=["1:1"], version="77")["result"]["calls"] == 1
    assert figma.run(node_ids=["1:1"], version="77")["result"]["calls"] == 0


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_cached_file_is_exported_again(figma: FigmaBench, damage: str) -> None:
    """A cached file that is missing or changed in the store is exported again."""
    first = figma.run(node_ids=["1:1"])
    path = Path(figma.store.address(first["artifacts"][0]["storage_key"]))
    path.unlink() if damage == "gone" else path.write_bytes(b"\x89PNG of another")
    second = figma.run(node_ids=["1:1"])
    assert (second["result"]["cached"], second["result"]["calls"]) == (0, 2)
    assert figma.content(second, "1-1.png") == IMAGES["png"] + b" 1:1 of 1001"


def test_a_token_without_the_metadata_scope_can_export(figma: FigmaBench) -> None:
    """Without the scope for metadata, cached files of other jobs are not used, and a note says so."""
    for _ in range(2):
        figma.figma.next = [(403, {"status": 403, "err": "Invalid scope"}, {})]
        row = figma.run(node_ids=["1:1"])
        assert (row["status"], row["result"]["cached"]) == ("succeeded", 0)
        assert "file_metadata:read" in row["result"]["notes"][0]


def test_a_new_link_is_requested_for_an_expired_one(figma: FigmaBench) -> None:
    """New links are requested only for the nodes whose link has expired."""
    figma.figma.expired.update({"1:2": 1, "1:3": 1})
    row = figma.run(node_ids=["1:1", "1:2", "1:3"])
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 3)
    assert figma.figma.batches() == [["1:1", "1:2", "1:3"], ["1:2", "1:3"]]


def test_links_that_expire_again_fail_the_attempt(figma: FigmaBench) -> None:
    """Links that expire twice fail the attempt as retryable, and the other files are kept."""
    figma.figma.expired.update({"1:2": 2})
    row = figma.run(node_ids=["1:1", "1:2"])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("queued", 1, "link_expired")
    assert "1 of 2 nodes are missing" in row["error"]["message"]
    assert [artifact["name"] for artifact in row["artifacts"]] == ["1-1.png"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_batch_that_is_too_large_is_halved(figma: FigmaBench, status: int) -> None:
    """A batch that is too large is halved until it succeeds."""
    figma.figma.max_nodes = 20
    figma.figma.too_large = (status, {"status": status, "err": "Render timeout"}, {})
    row = figma.run(node_ids=[f"1:{n}" for n in range(1, 51)])
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 50)
    assert [len(batch) for batch in figma.figma.batches()] == [50, 25, 13, 12, 25, 13, 12]


@pytest.mark.parametrize(
    ("type", "status", "most"),
    [("figma.images", 413, 10), ("figma.nodes", 413, 1), ("figma.images", 414, 3), ("figma.nodes", 431, 7)],
)
def test_batches_are_reduced_after_a_status_that_means_too_large(
    figma: FigmaBench, type: str, status: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a status that means too large, batches are reduced, and one attempt exports everything."""
    monkeypatch.setattr(rate_gate, "CALLS_PER_MINUTE", dict.fromkeys(rate_gate.Tier, 10_000))
    figma.figma.max_nodes = most
    figma.figma.too_large = (status, b"<html>Request Entity Too Large</html>", {})
    count = 12 if most < 5 else 30
    row = figma.run(type, node_ids=[f"1:{n}" for n in range(1, count + 1)])
    assert (row["status"], row["attempts"], len(row["result"]["files"])) == ("succeeded", 1, count)


def test_a_batch_that_times_out_is_halved(figma: FigmaBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that times out is halved, and one attempt exports everything."""
    monkeypatch.setattr(rate_gate, "CALLS_PER_MINUTE", dict.fromkeys(rate_gate.Tier, 10_000))
    figma.figma.max_nodes, figma.figma.too_large = 5, None
    job = figma.enqueue(node_ids=[f"1:{n}" for n in range(1, 9)])
    figma.work(figma.executor(call_seconds=0.5))
    row = figma.look(job)
    assert (row["status"], row["attempts"], len(row["result"]["files"])) == ("succeeded", 1, 8)
    assert [len(batch) for batch in figma.figma.batches()] == [8, 4, 4]


def test_single_nodes_that_time_out_are_retryable(figma: FigmaBench) -> None:
    """A job whose single nodes time out fails as a retryable timeout."""
    figma.figma.max_nodes, figma.figma.too_large = 0, None
    job = figma.enqueue(node_ids=["1:1", "1:2"])
    figma.work(figma.executor(call_seconds=0.3))
    error = figma.look(job)["error"]
    assert (error["class"], error["retryable"]) == ("timeout", True)
    assert "Figma did not respond within 0.3 s" in error["message"]


def test_a_batch_is_limited_by_the_length_of_its_ids(figma: FigmaBench) -> None:
    """Batches are limited by the length of their ids in the URL."""
    nodes = [f"I1:{n}" + ";123456:123456" * 20 for n in range(30)]
    figma.figma.nodes = dict.fromkeys(nodes, "Part")
    row = figma.run(node_ids=nodes)
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 30)
    assert all(len(quote(",".join(batch))) <= 4_100 for batch in figma.figma.batches())


def test_a_rejected_metadata_request_prevents_expensive_calls(figma: FigmaBench) -> None:
    """If the metadata request is rejected, no expensive call is made."""
    figma.figma.next = [(403, {"status": 403, "err": "Invalid token"}, {})]
    row = figma.run(node_ids=["1:1"])
    assert (row["status"], row["error"]["class"], figma.figma.paths()) == (
        "failed",
        "figma_token",
        ["/v1/files/KEY/meta"],
    )


def test_a_node_that_fails_every_call_is_listed(figma: FigmaBench) -> None:
    """A node that fails every call is listed as failed, and the others are exported."""
    figma.figma.poison = {"1:6"}
    figma.figma.too_large = (500, {"status": 500, "err": "Internal error"}, {})
    row = figma.run("figma.nodes", node_ids=[f"1:{n}" for n in range(1, 9)])
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 7)
    assert row["result"]["failed"] == {"1:6": "Figma responded with 500 (Internal error)"}


def test_an_outage_ends_the_attempt_early(figma: FigmaBench) -> None:
    """If two single nodes fail and none has succeeded, the attempt ends as retryable."""
    figma.figma.max_nodes = 0
    figma.figma.too_large = (500, {"status": 500, "err": "Internal error"}, {})
    row = figma.run(node_ids=[f"1:{n}" for n in range(1, 51)])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("queued", 1, "figma_server")
    assert len(figma.figma.batches()) <= 8
