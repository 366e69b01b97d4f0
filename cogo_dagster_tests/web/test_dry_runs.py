"""Dry runs of the API, and the preview of the dashboard, change nothing."""

from typing import Final

import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.scenes import one_of_each
from cogo_dagster_tests.rows import every_row
from cogo_dagster_tests.web.conftest import Site

PATHS: Final[dict[str, Json]] = {
    "/api/jobs/retry": {},
    "/api/dlq/replay": {},
    "/api/dlq/discard": {"reason": "gone"},
}
SEARCHES: Final = "/api/actions"
"""Its preview has a different form."""
JOBS: Final = "/api/jobs"
"""It enqueues unless a dry run is requested; see test_new_jobs."""


def test_every_route_with_a_dry_run_is_listed(site: Site) -> None:
    """PATHS contains all routes whose body has `dry_run`."""
    document = site.get("/api/openapi.json")
    schemas = document["components"]["schemas"]

    def takes_dry_run(operation: Json) -> bool:
        content = operation.get("requestBody", {}).get("content", {})
        return any("dry_run" in str(_resolved(schemas, one["schema"])) for one in content.values())

    able = {path for path, methods in document["paths"].items() if any(map(takes_dry_run, methods.values()))}
    assert {*PATHS, SEARCHES, JOBS} == able


@pytest.mark.parametrize("path", PATHS)
def test_a_dry_run_changes_no_table(site: Site, owner: Owner, path: str) -> None:
    """A request without `dry_run` is a dry run; the real run changes what the dry run found."""
    one_of_each(site.queue, owner)
    before = every_row(owner)
    found = [site.post(path, body) for body in (PATHS[path], PATHS[path] | {"dry_run": True})]
    assert {(answer["matched"], answer["changed"], answer["dry_run"]) for answer in found} == {(1, 0, True)}
    assert every_row(owner) == before
    assert site.post(path, PATHS[path] | {"dry_run": False})["changed"] == 1
    assert every_row(owner) != before


def test_a_preview_of_a_search_changes_no_table(site: Site, owner: Owner) -> None:
    """A request without `dry_run` is a preview, and stores no action; the real run changes what it found."""
    one_of_each(site.queue, owner)
    before = every_row(owner)
    wanted = {"operation": "retry", "where": "status:failed"}
    for body in (wanted, wanted | {"dry_run": True}):
        found = site.post(SEARCHES, body)
        assert (found["dry_run"], found["action"], len(found["job_ids"])) == (True, None, 1)
    assert every_row(owner) == before
    assert site.post(SEARCHES, wanted | {"dry_run": False})["action"]["changed"] == 1
    assert every_row(owner) != before


def _resolved(schemas: Json, schema: Json) -> Json:
    """Return a schema with its references replaced."""
    named = [schema, *schema.get("anyOf", ()), *schema.get("allOf", ())]
    return [schemas[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in named]
