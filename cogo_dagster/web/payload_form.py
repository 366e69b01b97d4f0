"""Forms of payloads, generated from the JSON schema of their models. Pure functions."""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

from cogo_dagster.queue.model import Json
from cogo_dagster.text import parse_json
from cogo_dagster.validation import Mistake, mistakes

Kind = Literal["text", "integer", "number", "flag", "choice", "lines", "json"]

WHOLE: Final = "payload"
"""Name of the field that has the whole payload as JSON, and key of errors that belong to no field."""

_YES_NO: Final = {"yes": True, "no": False}
_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of a form.

    Attributes:
        kind: `flag` is a checkbox; `lines` is a list of texts, one per line; `json` is any JSON.
        default: Value if the payload does not have the key; None if there is none.
        choices: Texts to choose from.
    """

    name: str
    kind: Kind
    help: str = ""
    required: bool = False
    default: Json = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def label(self) -> str:
        """The name with spaces."""
        return self.name.replace("_", " ")

    def read(self, given: str) -> Json:
        """Return the value of a text that was entered.

        Raises:
            ValueError: The text does not have the form of the field; the message says how to write it.
        """
        text = given.strip()
        if self.kind == "lines":
            return [line.strip() for line in text.splitlines() if line.strip()]
        if self.kind == "json":
            try:
                return parse_json(text)
            except ValueError as error:
                raise ValueError(f"is not JSON ({error})") from None
        if self.kind in ("integer", "number"):
            return _number(text, whole=self.kind == "integer")
        return _YES_NO.get(text, text) if self.choices == tuple(_YES_NO) else text

    def written(self, value: Json) -> str | None:
        """Return the text to enter for a value; None if there is none."""
        if self.kind == "json":
            return json.dumps(value, indent=2, ensure_ascii=False)
        if self.kind == "lines":
            simple = isinstance(value, list) and all(_is_line(item) for item in value)
            return "\n".join(value) if simple else None
        if isinstance(value, bool):
            return ("yes" if value else "no") if self.kind == "flag" or self.choices == tuple(_YES_NO) else None
        if isinstance(value, int | float):
            return str(value) if self.kind in ("integer", "number") else None
        return value if _is_line(value) and self.kind in ("text", "choice") else None


def fields_of(model: type[BaseModel]) -> tuple[FormField, ...]:
    """Return the fields of a model, required ones first."""
    schema = model.model_json_schema()
    helps = _attribute_helps(model)
    required = set(schema.get("required", ()))
    found = [
        _field(name, _resolved(part, schema.get("$defs", {})), helps.get(name, ""), required=name in required)
        for name, part in schema.get("properties", {}).items()
    ]
    return tuple(sorted(found, key=lambda field: not field.required))


def read_form(
    fields: tuple[FormField, ...], form: Mapping[str, str], prefix: str = ""
) -> tuple[dict[str, Json], dict[str, str]]:
    """Return the values of a form without empty ones and defaults, and a message for each text that is invalid.

    Args:
        prefix: Prefix of the names in the form.
    """
    values: dict[str, Json] = {}
    errors: dict[str, str] = {}
    for field in fields:
        given = form.get(f"{prefix}{field.name}", "")
        if field.kind == "flag":
            if (given != "") is not bool(field.default):
                values[field.name] = given != ""
        elif given.strip():
            try:
                values[field.name] = field.read(given)
            except ValueError as error:
                errors[field.name] = str(error)
    return values, errors


def write_form(fields: tuple[FormField, ...], values: Mapping[str, Json], prefix: str = "") -> dict[str, str] | None:
    """Return the texts of a form for values; None if the form cannot represent them."""
    by_name = {field.name: field for field in fields}
    if not values.keys() <= by_name.keys():
        return None
    texts = {field.name: "yes" for field in fields if field.kind == "flag" and field.default}
    for name, value in values.items():
        if value is None:
            continue
        text = by_name[name].written(value)
        if text is None:
            return None
        texts[name] = "" if by_name[name].kind == "flag" and value is False else text
    return {f"{prefix}{name}": text for name, text in texts.items()}


def model_errors(model: type[BaseModel], values: Mapping[str, Json]) -> dict[str, str]:
    """Return a message for each invalid value, by field; those that belong to no field have the key WHOLE."""
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        found: dict[str, list[str]] = {}
        for mistake in mistakes(error):
            found.setdefault(mistake.place[0] if mistake.place else WHOLE, []).append(_message(mistake))
        return {name: "; ".join(messages[:5]) for name, messages in found.items()}
    return {}


def _message(mistake: Mistake) -> str:
    inner = ".".join(mistake.place[1:])
    reason = {"missing": "is required", "extra_forbidden": "is unknown"}.get(mistake.kind, mistake.lowered)
    return f"{inner}: {reason}" if inner else reason


def _field(name: str, part: Mapping[str, Json], help_text: str, *, required: bool) -> FormField:
    kind, choices = _kind(part)
    default = part.get("default")
    if kind == "flag" and not isinstance(default, bool):
        kind, choices = "choice", tuple(_YES_NO)
    return FormField(
        name=name,
        kind=kind,
        help=str(part.get("description") or help_text),
        required=required,
        default=default,
        choices=choices,
        minimum=part.get("minimum"),
        maximum=part.get("maximum"),
    )


def _kind(part: Mapping[str, Json]) -> tuple[Kind, tuple[str, ...]]:
    choices = part.get("enum", [part["const"]] if "const" in part else [])
    if choices and all(isinstance(choice, str) for choice in choices):
        return "choice", tuple(choices)
    kinds: dict[str, Kind] = {"boolean": "flag", "integer": "integer", "number": "number", "string": "text"}
    if part.get("type") == "array" and part.get("items", {}).get("type") == "string":
        return "lines", ()
    return kinds.get(str(part.get("type")), "json"), ()


def _resolved(part: Mapping[str, Json], definitions: Mapping[str, Json]) -> dict[str, Json]:
    """Return a part of a schema without references, and without the alternative null."""
    outer = {key: value for key, value in part.items() if key not in ("$ref", "anyOf")}
    if "$ref" in part:
        inner = definitions.get(str(part["$ref"]).rpartition("/")[2], {})
        return {"type": inner.get("type")} | ({"enum": inner["enum"]} if "enum" in inner else {}) | outer
    options = [option for option in part.get("anyOf", ()) if option.get("type") != "null"]
    return _resolved(options[0], definitions) | outer if len(options) == 1 else outer


def _attribute_helps(model: type[BaseModel]) -> dict[str, str]:
    """Return the descriptions of attributes in the docstrings of a model and its base classes."""
    helps: dict[str, str] = {}
    for base in reversed(model.__mro__):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        helps |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}
    return helps


def _number(text: str, *, whole: bool) -> int | float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise ValueError("must be a whole number" if whole else "must be a number") from None


def _is_line(value: Json) -> bool:
    return isinstance(value, str) and value == value.strip() and "\n" not in value and "\r" not in value
