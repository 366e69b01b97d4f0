"""Validates the requests and responses of these tests against Figma's OpenAPI document."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote

import yaml  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from cogo_dagster_tests.npm import npm_package

_DOCUMENT = "urn:figma"
_READERS: Mapping[str, Any] = {"number": float, "boolean": {"true": True, "false": False}.__getitem__, "string": str}


def request_errors(method: str, path: str, query: Sequence[tuple[str, str]], token: str | None) -> list[str]:
    """Return the errors of a request: an unknown path or parameter, an invalid value, no token."""
    operation = _operation(method, path)
    if operation is None:
        return [f"Unknown operation {method} {path}."]
    parameters = {p["name"]: p for p in operation["parameters"] if p["in"] == "query"}
    given = dict(query)
    errors = [f"{name} is given twice." for name in given if sum(name == other for other, _ in query) > 1]
    errors += [f"Unknown parameter {name}." for name in given.keys() - parameters.keys()]
    errors += [f"{name} is missing." for name, p in parameters.items() if p.get("required") and name not in given]
    for name in given.keys() & parameters.keys():
        errors += _value_errors(name, given[name], parameters[name]["schema"])
    return errors if token else [*errors, "There is no token."]


def response_errors(method: str, path: str, status: int, body: Any) -> list[str]:
    """Return how a response differs from the OpenAPI document.

    The document does not say that a missing node is null; Figma's guide and its responses do.
    """
    operation = _operation(method, path)
    if operation is None or str(status) not in operation["responses"]:
        return [f"{method} {path} has no response {status}."]
    if isinstance(body, dict) and isinstance(body.get("nodes"), dict):
        body = body | {"nodes": {node: value for node, value in body["nodes"].items() if value is not None}}
    reference = operation["responses"][str(status)]["$ref"]
    return [error.message[:300] for error in _validator(reference).iter_errors(body)]


@cache
def _description() -> Any:
    text = (npm_package("@figma/rest-api-spec") / "openapi" / "openapi.yaml").read_text(encoding="utf-8")
    loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return json.loads(json.dumps(loaded, default=str))  # its examples have dates


def _operation(method: str, path: str) -> Any:
    for template, item in _description()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), unquote(path)) and method.lower() in item:
            return item[method.lower()]
    return None


@cache
def _validator(reference: str) -> Draft202012Validator:
    resource = Resource.from_contents(_description(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(_DOCUMENT, resource)
    schema = {"$ref": f"{_DOCUMENT}{reference}/content/application~1json/schema"}
    return Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())


def _value_errors(name: str, text: str, schema: Mapping[str, Any]) -> list[str]:
    try:
        value = _READERS[schema["type"]](text)
    except (KeyError, ValueError):
        return [f"{name} is {text!r}, which is not a {schema['type']}."]
    return [f"{name}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)]
