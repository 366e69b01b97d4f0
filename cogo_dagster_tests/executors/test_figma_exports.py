"""Figma jobs end to end: what is asked, what comes, what is missing, and what was made before."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cogo_dagster.executors.figma import rate_gate
from cogo_dagster_tests.executors.figma_bench import FigmaBench
from cogo_dagster_tests.executors.figma_server import PICTURES


def test_a_file_is_kept_as_figma_gave_it(figma: FigmaBench) -> None:
    """After a look at its metadata; the result says which version it is."""
    row = figma.run("figma", depth=2, geometry="paths")
    assert row["status"] == "succeeded", row["error"]
    assert json.loads(figma.content(row, "file.json"))["document"]["type"] == "DOCUMENT"
    assert figma.figma.paths() == ["/v1/files/KEY/meta", "/v1/files/KEY"]
    assert figma.figma.asked[1].query == {"depth": "2", "geometry": "paths"}
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


def test_nodes_are_files_of_their_own_and_null_is_a_nodes_failure(figma: FigmaBench) -> None:
    """Figma answers 200 with null where there is no node: the job succeeds, and says which."""
    row = figma.run("figma.nodes", node_ids=["1-2", "9:9", "1:3"])
    assert row["status"] == "succeeded", row["error"]
    assert json.loads(figma.content(row, "1-2.json"))["document"]["name"] == "Frame 2"
    assert row["result"]["files"] == {"1:2": "1-2.json", "1:3": "1-3.json"}
    assert row["result"]["failed"] == {"9:9": "there is no such node"}
    assert figma.figma.asked[-1].ids == ["1:2", "9:9", "1:3"]


def test_images_come_in_batches_of_fifty(figma: FigmaBench) -> None:
    """A hundred and twenty nodes are three calls, and every picture is kept."""
    row = figma.run(node_ids=[f"1:{n}" for n in range(1, 121)])
    assert row["status"] == "succeeded", row["error"]
    assert [len(batch) for batch in figma.figma.batches()] == [50, 50, 20]
    assert figma.content(row, "1-120.png") == PICTURES["png"] + b" 1:120 of 1001"
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
def test_every_option_reaches_figma_as_it_spells_it(
    figma: FigmaBench, options: dict[str, Any], query: dict[str, str], name: str
) -> None:
    """The stand-in holds each against Figma's own description."""
    row = figma.run(node_ids=["1:1"], **options)
    assert row["status"] == "succeeded", row["error"]
    assert figma.figma.asked[-1].query == {"ids": "1:1", **query}
    assert row["result"]["files"] == {"1:1": name}


def test_an_image_that_is_null_is_a_nodes_failure(figma: FigmaBench) -> None:
    """The others come."""
    figma.figma.unrenderable = {"1:2"}
    row = figma.run(node_ids=["1:1", "1:2", "7:7"])
    assert row["status"] == "succeeded", row["error"]
    assert row["result"]["files"] == {"1:1": "1-1.png"}
    assert set(row["result"]["failed"]) == {"1:2", "7:7"}


@pytest.mark.parametrize("type", ["figma.images", "figma.nodes"])
def test_a_job_of_which_nothing_came_fails_for_good(figma: FigmaBench, type: str) -> None:
    """Another attempt would bring nothing either."""
    row = figma.run(type, node_ids=["7:7", "8:8"])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("failed", 1, "figma_nothing")
    assert row["error"]["message"].startswith("None of the 2 nodes could be exported; of 7:7: ")


def test_the_same_export_again_costs_one_cheap_call(figma: FigmaBench) -> None:
    """The files are the second job's own, and stay when the first one's are gone."""
    first = figma.run(node_ids=["1:1", "1:2"])
    second = figma.run(node_ids=["1:2", "1:1"])
    assert (second["result"]["cached"], second["result"]["calls"]) == (2, 1)
    assert figma.figma.paths()[2:] == ["/v1/files/KEY/meta"]
    for artifact in first["artifacts"]:
        figma.store.delete(artifact["storage_key"])
    assert figma.content(second, "1-1.png") == PICTURES["png"] + b" 1:1 of 1001"


def test_only_what_is_new_is_asked_for(figma: FigmaBench) -> None:
    """Jobs that overlap share."""
    figma.run(node_ids=["1:1", "1:2"])
    figma.run(node_ids=["1:2", "1:3"])
    assert figma.figma.batches() == [["1:1", "1:2"], ["1:3"]]


@pytest.mark.parametrize("type", ["figma", "figma.nodes", "figma.images"])
def test_a_changed_file_is_exported_anew(figma: FigmaBench, type: str) -> None:
    """Also with the same parameters."""
    nodes = {} if type == "figma" else {"node_ids": ["1:1"]}
    figma.run(type, **nodes)
    figma.figma.version = "1002"
    assert figma.run(type, **nodes)["result"]["cached"] == 0
    assert figma.run(type, **nodes)["result"]["cached"] == 1


def test_other_parameters_are_other_files(figma: FigmaBench) -> None:
    """Size, format and kind of export."""
    figma.run(node_ids=["1:1"])
    for type, options in (("figma.images", {"scale": 2}), ("figma.images", {"format": "svg"}), ("figma.nodes", {})):
        assert figma.run(type, node_ids=["1:1"], **options)["result"]["cached"] == 0


def test_a_version_that_is_named_needs_no_look_at_the_file(figma: FigmaBench) -> None:
    """It never changes, so the second export asks for nothing at all."""
    assert figma.run(node_ids=["1:1"], version="77")["result"]["calls"] == 1
    assert figma.run(node_ids=["1:1"], version="77")["result"]["calls"] == 0


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_file_that_is_not_what_its_row_says_is_made_anew(figma: FigmaBench, damage: str) -> None:
    """The store lost it, or somebody wrote into it."""
    first = figma.run(node_ids=["1:1"])
    path = Path(figma.store.address(first["artifacts"][0]["storage_key"]))
    path.unlink() if damage == "gone" else path.write_bytes(b"\x89PNG of another")
    second = figma.run(node_ids=["1:1"])
    assert (second["result"]["cached"], second["result"]["calls"]) == (0, 2)
    assert figma.content(second, "1-1.png") == PICTURES["png"] + b" 1:1 of 1001"


def test_a_token_without_the_metadata_scope_exports_all_the_same(figma: FigmaBench) -> None:
    """It cannot know whether the file has changed, so it uses nothing of other jobs, and says so."""
    for _ in range(2):
        figma.figma.next = [(403, {"status": 403, "err": "Invalid scope"}, {})]
        row = figma.run(node_ids=["1:1"])
        assert (row["status"], row["result"]["cached"]) == ("succeeded", 0)
        assert "file_metadata:read" in row["result"]["notes"][0]


def test_an_expired_link_is_asked_for_again(figma: FigmaBench) -> None:
    """Only for the nodes whose link it was."""
    figma.figma.expired.update({"1:2": 1, "1:3": 1})
    row = figma.run(node_ids=["1:1", "1:2", "1:3"])
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 3)
    assert figma.figma.batches() == [["1:1", "1:2", "1:3"], ["1:2", "1:3"]]


def test_links_that_never_work_cost_an_attempt_and_keep_the_rest(figma: FigmaBench) -> None:
    """The next attempt asks for the missing node alone."""
    figma.figma.expired.update({"1:2": 2})
    row = figma.run(node_ids=["1:1", "1:2"])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("queued", 1, "link_expired")
    assert "1 of 2 nodes are missing" in row["error"]["message"]
    assert [artifact["name"] for artifact in row["artifacts"]] == ["1-1.png"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_batch_that_is_too_large_is_halved(figma: FigmaBench, status: int) -> None:
    """Until it fits; nothing is lost."""
    figma.figma.most = 20
    figma.figma.too_large = (status, {"status": status, "err": "Render timeout"}, {})
    row = figma.run(node_ids=[f"1:{n}" for n in range(1, 51)])
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 50)
    assert [len(batch) for batch in figma.figma.batches()] == [50, 25, 13, 12, 25, 13, 12]


@pytest.mark.parametrize("type", ["figma.images", "figma.nodes"])
@pytest.mark.parametrize(("status", "most"), [(413, 10), (413, 1), (414, 3), (431, 7)])
def test_a_server_that_says_too_much_at_once_is_asked_for_less(
    figma: FigmaBench, type: str, status: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one attempt; batches are as small from then on."""
    monkeypatch.setattr(rate_gate, "CALLS_PER_MINUTE", dict.fromkeys(rate_gate.Tier, 10_000))
    figma.figma.most = most
    figma.figma.too_large = (status, b"<html>Request Entity Too Large</html>", {})
    count = 12 if most == 1 else 40
    row = figma.run(type, node_ids=[f"1:{n}" for n in range(1, count + 1)])
    assert (row["status"], row["attempts"], len(row["result"]["files"])) == ("succeeded", 1, count)


def test_a_batch_that_is_not_answered_in_time_is_halved(figma: FigmaBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rendering of too much at once is perhaps never answered; in one attempt all nodes are exported all the same."""
    monkeypatch.setattr(rate_gate, "CALLS_PER_MINUTE", dict.fromkeys(rate_gate.Tier, 10_000))
    figma.figma.most, figma.figma.too_large = 5, None
    job = figma.enqueue(node_ids=[f"1:{n}" for n in range(1, 9)])
    figma.work(figma.executor(call_seconds=0.5))
    row = figma.look(job)
    assert (row["status"], row["attempts"], len(row["result"]["files"])) == ("succeeded", 1, 8)
    assert [len(batch) for batch in figma.figma.batches()] == [8, 4, 4]


def test_a_node_that_is_never_answered_is_tried_again(figma: FigmaBench) -> None:
    """Nothing came of the job: it fails as a timeout, and another attempt may help."""
    figma.figma.most, figma.figma.too_large = 0, None
    job = figma.enqueue(node_ids=["1:1", "1:2"])
    figma.work(figma.executor(call_seconds=0.3))
    error = figma.look(job)["error"]
    assert (error["class"], error["retryable"]) == ("timeout", True)
    assert "Figma gave no answer within 0.3 s" in error["message"]


def test_the_ids_of_a_batch_are_bounded_by_their_length_too(figma: FigmaBench) -> None:
    """Ids of nested instances are long, and an address has its limits."""
    nodes = [f"I1:{n}" + ";123456:123456" * 20 for n in range(30)]
    figma.figma.nodes = dict.fromkeys(nodes, "Part")
    row = figma.run(node_ids=nodes)
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 30)
    assert all(len(quote(",".join(batch))) <= 4_100 for batch in figma.figma.batches())


def test_a_look_at_the_file_that_is_refused_costs_no_dear_call(figma: FigmaBench) -> None:
    """Unless it is only the scope of that look that the token lacks."""
    figma.figma.next = [(403, {"status": 403, "err": "Invalid token"}, {})]
    row = figma.run(node_ids=["1:1"])
    assert (row["status"], row["error"]["class"], figma.figma.paths()) == (
        "failed",
        "figma_token",
        ["/v1/files/KEY/meta"],
    )


def test_a_node_that_breaks_every_call_is_that_nodes_failure(figma: FigmaBench) -> None:
    """Its neighbours come."""
    figma.figma.poison = {"1:6"}
    figma.figma.too_large = (500, {"status": 500, "err": "Internal error"}, {})
    row = figma.run("figma.nodes", node_ids=[f"1:{n}" for n in range(1, 9)])
    assert (row["status"], len(row["result"]["files"])) == ("succeeded", 7)
    assert row["result"]["failed"] == {"1:6": "Figma answered 500 (Internal error)"}


def test_an_outage_is_not_asked_to_death(figma: FigmaBench) -> None:
    """Two single nodes that fail, with nothing before, are enough: the attempt ends, and another one follows."""
    figma.figma.most = 0
    figma.figma.too_large = (500, {"status": 500, "err": "Internal error"}, {})
    row = figma.run(node_ids=[f"1:{n}" for n in range(1, 51)])
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("queued", 1, "figma_server")
    assert len(figma.figma.batches()) <= 8
