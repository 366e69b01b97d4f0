"""Validation of Figma payloads, and how they are stored."""

from typing import Any

import pytest

from cogo_dagster.executors.figma.executor import FigmaExecutor
from cogo_dagster.executors.figma.identifiers import file_stem, node_id, split_link
from cogo_dagster.queue.executor import ExecutorContext, InvalidPayload
from cogo_dagster.settings import load_settings

LINK = "https://www.figma.com/design/AbC123/Landing-page?node-id=12-345&t=FFhXL1uDluUxMH9W-4"


@pytest.fixture
def executor() -> FigmaExecutor:
    """An executor that is not started and has no token: validation needs neither."""
    return FigmaExecutor.build(ExecutorContext.offline(load_settings()))


@pytest.mark.parametrize(
    ("type", "payload", "stored"),
    [
        ("figma", {"file_key": "AbC"}, {"file_key": "AbC"}),
        ("figma", {"file_key": LINK, "depth": 1}, {"file_key": "AbC123", "depth": 1}),
        ("figma.nodes", {"file_key": LINK}, {"file_key": "AbC123", "node_ids": ["12:345"]}),
        (
            "figma.images",
            {"file_key": LINK, "node_ids": ["1-2", "1:2", "I5-6;7-8"], "scale": 2},
            {"file_key": "AbC123", "node_ids": ["1:2", "I5:6;7:8"], "scale": 2.0},
        ),
    ],
)
def test_a_payload_is_stored_in_the_form_of_the_api(
    executor: FigmaExecutor, type: str, payload: dict[str, Any], stored: dict[str, Any]
) -> None:
    """Node ids are normalized, and defaults are not stored."""
    assert executor.validate(type, payload, load_settings()) == stored


@pytest.mark.parametrize(
    ("type", "payload", "message"),
    [
        ("figma", [], 'The payload must be an object such as {"file_key": "AbC", "node_ids": ["1:2"]}.'),
        ("figma", {}, "The payload has no file_key."),
        ("figma", {"file_key": 7}, "The payload's file_key: Input should be a valid string."),
        ("figma", {"file_key": "a/../b"}, "file_key must be a file key"),
        ("figma", {"file_key": "https://figma.com.evil.example/design/AbC/x"}, "file_key is a URL, but not of"),
        ("figma", {"file_key": "https://www.figma.com/"}, "file_key is a URL, but not of a file"),
        ("figma", {"file_key": "https://www.figma.com/community/file/1234567"}, "file_key is a URL, but not of"),
        (
            "figma",
            {"file_key": "https://www.figma.com/files/team/1234/project/5"},
            "file_key is a URL, but not of",
        ),
        (
            "figma",
            {"file_key": "AbC", "node_ids": [f"I{n}:1" + ";123456:123456" * 20 for n in range(40)]},
            "use figma.nodes",
        ),
        ("figma.images", {"file_key": "AbC", "node_ids": ["0:0"]}, "cannot be rendered"),
        ("figma.nodes", {"file_key": "AbC", "node_ids": ["\uff11:2"]}, "is not a node id"),
        ("figma", {"file_key": "AbC", "depth": 0}, "The payload's depth: "),
        ("figma", {"file_key": "AbC", "format": "png"}, "The payload's format is not known."),
        ("figma", {"file_key": "AbC", "version": "1&ids=2"}, "The payload's version: "),
        ("figma.nodes", {"file_key": "AbC"}, "The payload has no node_ids."),
        ("figma.nodes", {"file_key": "AbC", "node_ids": []}, "The payload's node_ids: name at least one node"),
        (
            "figma.nodes",
            {"file_key": "AbC", "node_ids": "1:2"},
            'The payload\'s node_ids: must be a list, such as ["1:2"]',
        ),
        ("figma.nodes", {"file_key": "AbC", "node_ids": ["1:2,3:4"]}, "'1:2,3:4' is not a node id: write it as 1:2"),
        ("figma.nodes", {"file_key": "AbC", "node_ids": ["1:2"] * 501}, "at most 500 items"),
        ("figma.images", {"file_key": "AbC", "node_ids": ["1:2"], "format": "gif"}, "'png', 'jpg', 'svg' or 'pdf'"),
        ("figma.images", {"file_key": "AbC", "node_ids": ["1:2"], "scale": 4.5}, "The payload's scale: "),
        (
            "figma.images",
            {"file_key": "AbC", "node_ids": ["1:2"], "svg_include_id": True},
            "svg_include_id requires format svg, and the format is png.",
        ),
        ("figma.fills", {"file_key": "AbC"}, "Unknown type figma.fills: Figma jobs have the type"),
    ],
)
def test_an_invalid_payload_is_rejected_with_a_message(
    executor: FigmaExecutor, type: str, payload: Any, message: str
) -> None:
    """The error names the field and the problem."""
    with pytest.raises(InvalidPayload) as error:
        executor.parse(type, payload)
    assert message in str(error.value)


def test_a_link_to_a_branch_yields_its_key() -> None:
    """A link to a branch yields the branch's key."""
    link = "https://www.figma.com/design/AbC123/branch/BrA456/Landing?node-id=I5666-180910%3B1-10515"
    assert split_link(link) == ("BrA456", "I5666-180910;1-10515")


def test_ids_of_nodes_in_instances_are_normalized() -> None:
    """Ids of nodes in instances are normalized in every part, and their file names are unique."""
    assert node_id("I5666-180910;1-10515") == "I5666:180910;1:10515"
    assert file_stem("I5666:180910;1:10515") == "I5666-180910_1-10515"
    assert file_stem("1:2") != file_stem("1:2;3:4")
