"""A stand-in for GitHub's issues API, which validates every request against GitHub's OpenAPI description."""

import json
import re
from functools import cache
from typing import Any
from urllib.parse import unquote

import jsonschema

from cogo_dagster_tests.alerts.receivers import Reply, Request
from cogo_dagster_tests.npm import npm_package

TOKEN = "ghp_s3cr3tGitHubToken"


@cache
def description() -> dict[str, Any]:
    """Return GitHub's OpenAPI description."""
    file = npm_package("@octokit/openapi") / "generated" / "api.github.com.json"
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


class GitHub:
    """A repository, `acme/shop`.

    Attributes:
        issues: The issues, by number from 1.
        dispatches: Payloads of repository_dispatch events.
        faults: Violations of GitHub's description.
    """

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.dispatches: list[dict[str, Any]] = []
        self.faults: list[str] = []

    def __call__(self, request: Request) -> Reply:
        """Handle a request."""
        self.faults += faults(request)
        if request.headers.get("authorization") not in (f"Bearer {TOKEN}", f"token {TOKEN}"):
            return Reply(401, '{"message": "Bad credentials"}')
        found = re.fullmatch(r"/repos/acme/shop/(.*)", request.path)
        if not found:
            return Reply(404, '{"message": "Not Found"}')
        return self._answer(request, found[1].split("/"))

    def _answer(self, request: Request, parts: list[str]) -> Reply:  # noqa: PLR0911 - a table of routes
        match request.method, parts:
            case "POST", ["dispatches"]:
                self.dispatches.append(request.json)
                return Reply(204)
            case "GET", ["issues"]:
                label = request.query["labels"]
                return _json(200, [one for one in self.issues if one["state"] == "open" and label in _names(one)])
            case "POST", ["issues"]:
                body = request.json
                labels = [{"name": name} for name in body["labels"]]
                number = len(self.issues) + 1
                self.issues.append({**body, "labels": labels, "number": number, "state": "open", "comments": 0})
                return _json(201, self.issues[-1])
            case "PATCH", ["issues", number]:
                self.issues[int(number) - 1] |= request.json
                return _json(200, self.issues[int(number) - 1])
            case "GET", ["issues", number, "comments"]:
                return _json(200, [one for one in self.comments if one["number"] == int(number)])
            case "POST", ["issues", number, "comments"]:
                self.comments.append({**request.json, "number": int(number)})
                self.issues[int(number) - 1]["comments"] += 1
                return _json(201, self.comments[-1])
            case "POST", ["issues", number, "labels"]:
                issue = self.issues[int(number) - 1]
                issue["labels"] += [{"name": n} for n in request.json["labels"] if n not in _names(issue)]
                return _json(200, issue["labels"])
            case "DELETE", ["issues", number, "labels", label]:
                issue = self.issues[int(number) - 1]
                issue["labels"] = [one for one in issue["labels"] if one["name"] != unquote(label)]
                return _json(200, issue["labels"])
            case _:
                return Reply(404, '{"message": "Not Found"}')


def faults(request: Request) -> list[str]:
    """Return violations of GitHub's description: path, method, body, query."""
    found = [f"no {name}" for name in ("user-agent", "accept", "x-github-api-version") if not request.headers.get(name)]
    path = next((path for path in description()["paths"] if _fits(path, request)), None)
    if path is None:
        return [*found, f"{request.method} {request.path} is not in the description"]
    operation = description()["paths"][path][request.method.lower()]
    queries = {_resolved(one)["name"] for one in operation.get("parameters", ()) if _resolved(one)["in"] == "query"}
    found += [f"{path}: no query {name}" for name in set(request.query) - queries]
    content = _resolved(operation.get("requestBody", {})).get("content", {})
    if "application/json" in content and request.body:
        schema = {**content["application/json"]["schema"], "components": description()["components"]}
        validator = jsonschema.Draft202012Validator(schema)
        found += [f"{path}: {error.message[:200]}" for error in validator.iter_errors(request.json)]
    return found


def _fits(path: str, request: Request) -> bool:
    pattern = re.sub(r"\{[^}]+\}", "[^/]+", path)
    return bool(re.fullmatch(pattern, request.path)) and request.method.lower() in description()["paths"][path]


def _resolved(node: Any) -> Any:
    while "$ref" in node:
        target: Any = description()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _names(issue: dict[str, Any]) -> list[str]:
    return [label["name"] for label in issue["labels"]]


def _json(status: int, document: Any) -> Reply:
    return Reply(status, json.dumps(document), {"Content-Type": "application/json"})
