"""`cogo enqueue figma`: which kind of job the options mean."""

from enum import StrEnum
from typing import Annotated

import typer

from cogo_dagster.cli.enqueue_options import (
    Address,
    Key,
    MaxAttempts,
    Payload,
    Priority,
    RunIn,
    enqueue_one,
    read_payload,
)
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag
from cogo_dagster.cli.words import BadInput
from cogo_dagster.executors.registry import validate_payload
from cogo_dagster.queue.model import Json, NewJob, family_of

_EXAMPLE = {"file_key": "AbC", "node_ids": ["1:2"]}


class Format(StrEnum):
    """What nodes are rendered as."""

    PNG = "png"
    JPG = "jpg"
    SVG = "svg"
    PDF = "pdf"


def figma(
    *,
    file_key: Annotated[
        str | None,
        typer.Option(envvar="FIGMA_FILE_KEY", help="The file's key, or its address; needed unless in --payload."),
    ] = None,
    node_ids: Annotated[
        list[str] | None,
        typer.Option("--node-id", envvar="FIGMA_NODE_IDS", help="A node, as 1:2 or 1-2; several by commas or again."),
    ] = None,
    image_format: Annotated[
        Format | None, typer.Option("--format", envvar="FIGMA_FORMAT", help="Render the nodes as this.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(envvar="FIGMA_SCALE", help="Render the nodes in this size, 0.01 to 4.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="A version of the file's history; else as it is now.")] = None,
    depth: Annotated[int | None, typer.Option(help="How many levels down the JSON goes, 1 to 100.")] = None,
    payload: Payload = None,
    type: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="figma (the file), figma.nodes or figma.images; if left out, images with --format or --scale, "
            "nodes with --node-id, else the file.",
        ),
    ] = None,
    executor_id: Address = None,
    idempotency_key: Key = None,
    priority: Priority = 5,
    max_attempts: MaxAttempts = 5,
    run_in_seconds: RunIn = 0,
    as_json: JsonFlag = False,
) -> None:
    """Export from Figma: a file's document, some of its nodes, or renderings of them."""
    if file_key is None and payload is None:
        raise BadInput("There is no file to export: give --file-key, --payload, or set FIGMA_FILE_KEY.")
    options = {
        "file_key": file_key,
        "node_ids": [node for words in node_ids or () for node in words.split(",") if node] or None,
        "format": image_format.value if image_format else None,
        "scale": scale,
        "version": version,
        "depth": depth,
    }
    asked = read_payload(payload, options, example=_EXAMPLE)
    type = type or figma_type(asked)
    if family_of(type) != "figma":
        raise BadInput(f"`cogo enqueue figma` makes jobs of type figma, figma.nodes or figma.images, not {type!r}.")
    settings = read_settings()
    job = NewJob(
        type,
        validate_payload(type, asked, settings),
        executor_id=executor_id,
        priority=priority,
        max_attempts=max_attempts,
        idempotency_key=idempotency_key,
        run_in_seconds=run_in_seconds,
    )
    enqueue_one(settings, job, as_json=as_json)


def figma_type(payload: Json) -> str:
    """Return the type that a payload without one means."""
    if not isinstance(payload, dict):
        return "figma"
    if "format" in payload or "scale" in payload:
        return "figma.images"
    return "figma.nodes" if "node_ids" in payload or "node-id=" in str(payload.get("file_key")) else "figma"
