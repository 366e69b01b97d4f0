# ruff: noqa: INP001 - docs is a folder of pages, not a package
"""The reference pages of the two programming interfaces: the Python package and the HTTP API."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TypeAlias

import cogo_dagster
from cogo_dagster.settings import Settings
from cogo_dagster.web.app import create_app

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def python_lines() -> Iterator[str]:
    """Yield a section for each public name of the package: its signature and its docstring, read from the source."""
    for name in cogo_dagster.__all__:
        value = getattr(cogo_dagster, name)
        if isinstance(value, str):
            continue
        definition = _definition(value, name)
        yield from ("", f"## {name}", "", "```python", *_signature(definition), "```", "")
        yield from ("```text", ast.get_docstring(definition) or "", "```")
        for method in _methods(definition):
            yield from ("", f"### {name}.{method.name}", "", "```python", *_signature(method), "```", "")
            yield from ("```text", ast.get_docstring(method) or "", "```")


def http_lines() -> Iterator[str]:
    """Yield a section for each operation of the OpenAPI document: its parameters, its body and its responses."""
    document = create_app(Settings.model_construct()).openapi()
    schemas: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            yield from ("", f"## {verb.upper()} {path}", "", _line(operation.get("description", operation["summary"])))
            fields = [*_parameters(operation), *_body(operation, schemas)]
            if fields:
                yield from ("", "| name | in | type | required | meaning |", "|---|---|---|---|---|", *fields)
            codes = ", ".join(f"{code} {_line(one['description'])}" for code, one in operation["responses"].items())
            yield from ("", f"Responses: {codes}")


def _definition(value: Any, name: str) -> Definition:
    tree = ast.parse(inspect.getsource(import_module(value.__module__)))
    found = (node for node in tree.body if isinstance(node, Definition) and node.name == name)
    return next(found)


def _signature(node: Definition) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
        fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
        public = [f"    {ast.unparse(field)}" for field in fields if not ast.unparse(field.target).startswith("_")]
        yield f"class {node.name}({bases}):" if bases else f"class {node.name}:"
        yield from public or ["    ..."]
        return
    for decorator in node.decorator_list:
        yield f"@{ast.unparse(decorator)}"
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    yield f"{word} {node.name}({ast.unparse(node.args)}){returns}: ..."


def _methods(node: Definition) -> Iterator[Function]:
    if isinstance(node, ast.ClassDef):
        for one in node.body:
            if isinstance(one, Function) and not one.name.startswith("_") and ast.get_docstring(one):
                yield one


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for one in operation.get("parameters", []):
        yield _row(one["name"], one["in"], one["schema"], one.get("required", False), one.get("description", ""))


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = _resolved(content["schema"], schemas)
        for name, field in schema.get("properties", {}).items():
            yield _row(name, "body", field, name in schema.get("required", []), field.get("description", ""))


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference; of alternatives take the first that is an object."""
    for one in schema.get("anyOf", [schema]):
        if "$ref" in one:
            return _resolved(schemas[one["$ref"].rpartition("/")[2]], schemas)
        if "properties" in one:
            return one  # type: ignore[no-any-return]
    return schema


def _row(name: str, place: str, schema: Mapping[str, Any], required: bool, meaning: str) -> str:
    cells = (f"`{name}`", place, _kind(schema), "yes" if required else "", _line(meaning))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind(schema: Mapping[str, Any]) -> str:
    alternatives = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return " or ".join(dict.fromkeys(_one_kind(one) for one in alternatives)) or "any"


def _one_kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return " ".join(str(schema[key]) for key in ("type", "format") if key in schema) or "any"


def _line(text: str) -> str:
    return " ".join(text.split())
