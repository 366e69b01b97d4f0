"""The payloads of Figma jobs.

    figma          {"file_key": "AbC"}                                              the file's document, as file.json
    figma.nodes    {"file_key": "AbC", "node_ids": ["1:2", "1:3"]}                  each node's subtree, as 1-2.json
    figma.images   {"file_key": "AbC", "node_ids": ["1:2"], "format": "svg"}        each node rendered, as 1-2.svg

`file_key` may also be a link copied from Figma; its node id is used too.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cogo_dagster.executors.figma.identifiers import ids_characters, node_id, split_link
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import Json
from cogo_dagster.validation import validation_messages

MAX_NODES: Final = 500
MAX_FILE_IDS_CHARACTERS: Final = 6_000
_IDENTITY: Final = frozenset({"file_key", "node_ids"})


def _require_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError('must be a list, such as ["1:2"]')  # noqa: TRY004 - pydantic does not handle TypeError
    return value


NodeId = Annotated[str, Field(max_length=400), AfterValidator(node_id)]
NodeIds = Annotated[tuple[NodeId, ...], BeforeValidator(_require_list), Field(max_length=MAX_NODES)]
Depth = Annotated[int, Field(ge=1, le=100)]
Format = Literal["png", "jpg", "svg", "pdf"]


class FigmaRequest(BaseModel):
    """The fields of all payloads.

    Attributes:
        file_key: The key of a file or a branch.
        node_ids: Without duplicates, in the order given.
        version: A version id from the file's history; default is the current version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs_nodes: ClassVar[bool] = True

    file_key: Annotated[str, Field(max_length=2_000)]
    node_ids: NodeIds
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_-]{1,100}$")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _split_link(cls, payload: Any) -> Any:
        if not isinstance(payload, dict) or not isinstance(payload.get("file_key"), str):
            return payload
        try:
            key, node = split_link(payload["file_key"])
        except ValueError as error:
            raise ValueError(f"file_key {error}") from None
        linked = {"node_ids": [node]} if node and cls.needs_nodes else {}
        return linked | payload | {"file_key": key}

    @field_validator("node_ids", mode="after")
    @classmethod
    def _without_duplicates(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        if cls.needs_nodes and not ids:
            raise ValueError("name at least one node, such as 1:2")
        return tuple(dict.fromkeys(ids))

    @property
    def parameters(self) -> dict[str, str]:
        """The other query parameters, in Figma's spelling; fields that were not set are omitted."""
        fields = self.model_dump(exclude_none=True, exclude_unset=True, exclude=set(_IDENTITY))
        return {name: _query_value(value) for name, value in sorted(fields.items())}


class FileRequest(FigmaRequest):
    """The payload of `figma`: the document as JSON.

    Attributes:
        node_ids: Only these nodes with their ancestors and descendants; pages are always included.
        depth: 1 returns the pages, 2 also their children.
        geometry: `paths` adds vector data.
        plugin_data: Plugin ids, or `shared`, separated by commas: adds the data of these plugins.
        branch_data: Adds the file's branches.
    """

    needs_nodes = False

    node_ids: NodeIds = ()
    depth: Depth | None = None
    geometry: Literal["paths"] | None = None
    plugin_data: Annotated[str, Field(pattern=r"^[A-Za-z0-9_,-]{1,1000}$")] | None = None
    branch_data: bool | None = None

    @field_validator("node_ids", mode="after")
    @classmethod
    def _check_url_length(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        if ids_characters(ids) > MAX_FILE_IDS_CHARACTERS:
            raise ValueError("has too many ids for one call: use figma.nodes, which makes calls in batches")
        return ids


class NodesRequest(FigmaRequest):
    """The payload of `figma.nodes`: each node with its descendants, as JSON. `depth` counts from the node."""

    depth: Depth | None = None
    geometry: Literal["paths"] | None = None
    plugin_data: Annotated[str, Field(pattern=r"^[A-Za-z0-9_,-]{1,1000}$")] | None = None


class ImagesRequest(FigmaRequest):
    """The payload of `figma.images`: each node rendered.

    Attributes:
        scale: The scale of png and jpg.
        contents_only: False also renders content that overlaps the node.
        use_absolute_bounds: Renders text nodes without cropping.
    """

    format: Format = "png"
    scale: Annotated[float, Field(ge=0.01, le=4)] | None = None
    svg_outline_text: bool | None = None
    svg_include_id: bool | None = None
    svg_include_node_id: bool | None = None
    svg_simplify_stroke: bool | None = None
    contents_only: bool | None = None
    use_absolute_bounds: bool | None = None

    @field_validator("node_ids", mode="after")
    @classmethod
    def _check_not_document(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        if "0:0" in ids:
            raise ValueError("0:0 is the document, which cannot be rendered: name a page or a frame")
        return ids

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        invalid = [name for name in self.model_fields_set if name.startswith("svg_") and self.format != "svg"]
        if invalid:
            raise ValueError(f"{min(invalid)} requires format svg, and the format is {self.format}")
        return self


REQUESTS: Final[Mapping[str, type[FigmaRequest]]] = {
    "figma": FileRequest,
    "figma.nodes": NodesRequest,
    "figma.images": ImagesRequest,
}


def parse_payload(type: str, payload: Json) -> FigmaRequest:
    """Parse and validate a payload.

    Raises:
        InvalidPayload: The payload is invalid; the message names every error.
    """
    if type not in REQUESTS:
        raise InvalidPayload(f"Unknown type {type}: Figma jobs have the type `figma`, `figma.nodes` or `figma.images`.")
    if not isinstance(payload, Mapping):
        raise InvalidPayload('The payload must be an object such as {"file_key": "AbC", "node_ids": ["1:2"]}.')
    try:
        return REQUESTS[type].model_validate(dict(payload))
    except ValidationError as error:
        raise InvalidPayload(validation_messages(error)) from None


def _query_value(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
