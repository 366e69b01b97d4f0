"""A week as something to tell people: the same words and the same key, whoever tells it, so that it is told once."""

from collections.abc import Mapping

from cogo_dagster.quality.records import WeeklySummary
from cogo_dagster.queue.model import Json


def announcement_of(
    week: WeeklySummary, *, image_artifact_id: str | None = None, links: Mapping[str, str] | None = None
) -> dict[str, Json]:
    """Return the attributes of an announcement, by name."""
    now = week.this_week
    verdict = {"pass": "passes", "fail": "fails", "not_computed": "is not computed"}[now.q1.verdict]
    rates = {"Gate pass rate": now.gate.pass_rate, "Job success rate": now.jobs.success_rate}
    facts = {name: "none" if rate is None else f"{rate:g} %" for name, rate in rates.items()}
    return {
        "key": f"weekly:{week.week}",
        "kind": "weekly",
        "title": f"Week {week.week}: Q1 {verdict}",
        "markdown": week.markdown,
        "facts": facts | {"Gate runs": f"{now.gate.runs:,}", "Failures that ended a job": f"{now.jobs.failed:,}"},
        "links": dict(links or {}),
        "image_artifact_id": image_artifact_id,
    }
