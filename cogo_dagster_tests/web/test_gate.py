"""The endpoints of the quality gate, which CI, the weekly summary and the dashboard read."""

import re
from pathlib import Path

from cogo_dagster.queue.artifacts import upload_report
from cogo_dagster.queue.model import ArtifactFile, Json
from cogo_dagster.settings import Settings
from cogo_dagster_tests.web.conftest import Serve, Site
from cogo_dagster_tests.web.population import PIXEL, gate_history


def test_recent_has_the_latest_fixes_only(site: Site) -> None:
    """Runs of gate_fix, newest first, three by default."""
    gate_history(site.application)
    runs = site.get("/api/metrics/quality/gate/recent")["runs"]
    assert [(run["type"], run["branch"]) for run in runs] == [("gate_fix", f"fix/{n}") for n in (2, 1, 0)]
    assert len(site.get("/api/metrics/quality/gate/recent", limit=1)["runs"]) == 1
    assert site.client.get("/api/metrics/quality/gate/recent", params={"limit": 0}).status_code == 422


def test_report_urls_are_absolute_and_signed_on_request(
    serve: Serve, settings: Settings, site: Site, tmp_path: Path
) -> None:
    """Report URLs are based on METRICS_BASE, else on the request, and lead to the content."""
    artifact_id = a_report(site, tmp_path)
    site.application.gates.record(
        {
            "type": "gate_fix",
            "status": "pass",
            "branch": "fix",
            "commit_sha": "c" * 40,
            "eslint_artifact_id": artifact_id,
        }
        | {"gate_run_id": "01a210f4-c9c8-72f6-b2d0-c9b6100fccec"}
    )
    [run] = site.get("/api/metrics/quality/gate/recent")["runs"]
    assert run["eslint_url"] == f"{site.url}/api/artifacts/{artifact_id}/content"
    assert site.read(run["eslint_url"]).content == PIXEL
    with serve(settings=settings.model_copy(update={"metrics_base": "https://ops.example.com/"})) as other:
        [run] = other.get("/api/metrics/quality/gate/recent")["runs"]
    assert run["eslint_url"] == f"https://ops.example.com/api/artifacts/{artifact_id}/content"
    assert run["coverage_url"] is None


def test_the_summary_evaluates_the_last_day(site: Site) -> None:
    """The verdict is `not_computed` without runs, and `pass` with 25 of 30."""
    before = site.get("/api/metrics/gate/summary")
    assert (before["q1"]["verdict"], before["window"]["hours"]) == ("not_computed", 24)
    gate_history(site.application)
    after = site.get("/api/metrics/gate/summary")
    assert (after["q1"]["verdict"], after["q1"]["passed"], after["q1"]["runs"]) == ("pass", 25, 30)
    assert after["q1"] == site.application.gates.summary().q1.model_dump(mode="json")
    assert site.get("/api/metrics/gate/summary", branch="other")["q1"]["runs"] == 0


def test_the_weekly_summary_has_markdown_and_numbers(site: Site) -> None:
    """The default is the last full week; any other can be requested, except future and invalid ones."""
    week: Json = site.get("/api/metrics/weekly/summary")
    assert re.fullmatch(r"20\d\d-W\d\d", week["week"])
    assert week["markdown"].startswith(f"## Week {week['week']}")
    assert site.get("/api/metrics/weekly/summary", week="2026-W10")["week"] == "2026-W10"
    for wrong in ("2025-W53", "2090-W01"):
        assert site.client.get("/api/metrics/weekly/summary", params={"week": wrong}).status_code == 404


def a_report(site: Site, folder: Path) -> str:
    """Upload a report without a job, as the gate does."""
    path = folder / "eslint.png"
    path.write_bytes(PIXEL)
    kept = upload_report(site.application.transport, site.application.store, ArtifactFile(path.name, "image/png", path))
    return str(kept["artifact_id"])
