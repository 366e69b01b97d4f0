"""Forms of payloads: fields from a model, values from texts and back, and messages beside fields."""

from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.executors.registry import job_types
from cogo_dagster.queue.model import Json
from cogo_dagster.web.payload_form import WHOLE, FormField, fields_of, model_errors, read_form, write_form


class Size(BaseModel):
    """A nested object."""

    width: int = 1


class Base(BaseModel):
    """A base class.

    Attributes:
        url: The page
            to open.
    """

    model_config = ConfigDict(extra="forbid")

    url: str


class Payload(Base):
    """One field of each kind.

    Attributes:
        depth: How deep.
    """

    depth: int | None = Field(None, ge=1, le=9)
    scale: float | None = None
    full: bool = False
    html: bool = True
    trace: bool | None = None
    format: Literal["png", "svg"] = "png"
    nodes: tuple[str, ...] = ()
    size: Size = Size()
    actions: tuple[Size, ...] = ()


FIELDS = fields_of(Payload)


def test_the_fields_have_the_kinds_of_the_model() -> None:
    """Required fields come first; helps come from the docstrings of the model and its base classes."""
    kinds = {field.name: field.kind for field in FIELDS}
    assert next(iter(kinds)) == "url"
    assert kinds == {
        "url": "text",
        "depth": "integer",
        "scale": "number",
        "full": "flag",
        "html": "flag",
        "trace": "choice",
        "format": "choice",
        "nodes": "lines",
        "size": "json",
        "actions": "json",
    }
    helps = {field.name: field.help for field in FIELDS}
    assert (helps["url"], helps["depth"], helps["scale"]) == ("The page to open.", "How deep.", "")
    assert [(field.minimum, field.maximum) for field in FIELDS if field.name == "depth"] == [(1, 9)]


def test_empty_fields_and_defaults_are_left_out() -> None:
    """A checkbox counts only if it differs from its default."""
    values, errors = read_form(FIELDS, {"url": " https://example.com ", "html": "yes", "depth": "", "trace": "no"})
    assert (values, errors) == ({"url": "https://example.com", "trace": False}, {})
    assert read_form(FIELDS, {"url": "x", "full": "yes"})[0] == {"url": "x", "full": True, "html": False}


def test_texts_of_the_wrong_form_are_reported_by_field() -> None:
    """Each message says how to write the value."""
    _, errors = read_form(FIELDS, {"depth": "two", "scale": "x", "size": "{", "html": "yes"})
    assert errors["depth"] == "must be a whole number"
    assert errors["scale"] == "must be a number"
    assert errors["size"].startswith("is not JSON (")


def test_values_are_validated_by_field() -> None:
    """A missing field, a limit, a nested value and an unknown key are each reported at their field."""
    errors = model_errors(Payload, {"depth": 10, "size": {"width": "wide"}, "other": 1})
    assert errors["url"] == "is required"
    assert errors["depth"].startswith("input should be less than or equal to 9")
    assert errors["size"].startswith("width: ")
    assert errors["other"] == "is unknown"
    assert model_errors(Payload, {"url": "x"}) == {}


PAYLOADS = st.fixed_dictionaries(
    {"url": st.from_regex(r"[a-z:/.]{1,20}", fullmatch=True)},
    optional={
        "depth": st.integers(1, 9),
        "scale": st.floats(0.01, 4),
        "full": st.just(True),
        "html": st.just(False),
        "trace": st.booleans(),
        "format": st.sampled_from(["png", "svg"]),
        "nodes": st.lists(st.from_regex(r"[0-9]:[0-9]", fullmatch=True), min_size=1),
        "size": st.fixed_dictionaries({"width": st.integers()}),
    },
)


# The limits are of elapsed time, and a loaded machine exceeds them.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payload=PAYLOADS)
def test_a_payload_survives_the_form(payload: Json) -> None:
    """The texts for a payload are read as the same payload."""
    texts = write_form(FIELDS, payload, "p.")
    assert texts is not None
    assert read_form(FIELDS, texts, "p.") == (payload, {})


@pytest.mark.parametrize("payload", [{"unknown": 1}, {"url": 5}, {"url": "a\nb"}, {"nodes": [1]}, {"depth": "1"}])
def test_a_payload_without_a_form_is_not_represented(payload: Json) -> None:
    """None is returned, so that nothing of the payload is lost."""
    assert write_form(FIELDS, payload) is None


def test_every_installed_type_has_a_form() -> None:
    """Every type of the package has a model, and its fields have a text for their defaults."""
    kinds = {kind.name: kind.model for kind in job_types()}
    assert {"browser", "browser.pdf", "figma", "figma.nodes", "figma.images", "gate", "weekly_summary"} <= set(kinds)
    for model in kinds.values():
        assert model is not None
        assert fields_of(model)
    assert kinds["browser"] is not None
    assert [field.name for field in fields_of(kinds["browser"]) if field.required] == ["url"]


def test_a_whole_payload_is_one_field() -> None:
    """JSON is written with indents and read back."""
    field = FormField(WHOLE, "json")
    text = field.written({"a": [1]})
    assert text is not None
    assert field.read(text) == {"a": [1]}
