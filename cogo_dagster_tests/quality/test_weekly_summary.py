"""weekly_summary jobs: each week is announced once."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster.alerts.messages import Announcement
from cogo_dagster.alerts.service import Alerts
from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.weekly import Announcer, WeeklySummaryExecutor, Weeks
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutorContext, InvalidPayload, Workspace
from cogo_dagster.queue.model import Job, Json
from cogo_dagster.queue.rows.alerts import Announced
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.weeks import week_of
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.quality.history import a_month


class RecordingAnnouncer:
    """Records announcements, once per key."""

    def __init__(self) -> None:
        self.announced: dict[str, Announcement] = {}

    def announce(self, announcement: Announcement, *, again: bool = False) -> Announced:  # noqa: ARG002 - the protocol
        """Record an announcement."""
        created = self.announced.setdefault(announcement.key, announcement) is announcement
        return Announced.model_validate({"alert_id": None, "created": created, "targets": ["slack"]})


def run_job(
    gates: GateService, transport: Transport, announcer: Announcer, tmp_path: Path, payload: Json = None
) -> Any:
    """Run one job, by default for week 41 of 2026, and return its result."""
    executor = WeeklySummaryExecutor(Weeks(gates, Queue(transport), lambda: announcer, {}))
    given = executor.parse("weekly_summary", payload or {"week": "2026-W41"})
    job = Job(uuid4(), "weekly_summary", given, attempts=1, max_attempts=5, lease_token=uuid4())
    return asyncio.run(executor.execute(job, Workspace(tmp_path))).result


def test_a_week_is_kept_and_announced(gates: GateService, transport: Transport, owner: Owner, tmp_path: Path) -> None:
    """A week is stored and announced with its chart; a second run has the same key and chart."""
    a_month(datetime(2026, 10, 5, tzinfo=UTC), days=7).write(owner)
    announcer = RecordingAnnouncer()
    first, second = (run_job(gates, transport, announcer, tmp_path) for _ in range(2))
    assert first["announced"] is True
    assert first["chart_artifact_id"] == second["chart_artifact_id"]
    [announced] = announcer.announced.values()
    assert announced.key == "weekly:2026-W41"
    assert announced.markdown.startswith("## Week 2026-W41")
    [chart] = transport.call("list_artifacts", {})
    assert (chart["name"], chart["content_type"], chart["status"]) == ("week-2026-W41.svg", "image/svg+xml", "ready")
    assert len(transport.call("list_weekly_summaries", {})) == 1


def test_without_a_target_nothing_is_announced(
    gates: GateService, store: FolderStore, transport: Transport, tmp_path: Path
) -> None:
    """Without an alert target the result says that nothing was sent; the week is stored."""
    context = ExecutorContext(load_settings(WEBHOOK_TYPE=""), Queue(transport), store)
    result = run_job(gates, transport, Alerts(transport, context.settings), tmp_path)
    assert result["announced"] is False
    assert "WEBHOOK_TYPE" in result["reason"]
    built = WeeklySummaryExecutor.build(context)
    job = Job(uuid4(), "weekly_summary", built.parse("weekly_summary", {"week": "2026-W41"}), 1, 5, uuid4())
    assert asyncio.run(built.execute(job, Workspace(tmp_path))).result == result
    assert len(transport.call("list_weekly_summaries", {})) == 1


@pytest.mark.parametrize(
    "payload",
    [
        {},
        None,
        {"week": "47"},
        {"week": 7},
        {"week": "2026-W41", "to": "x"},
        {"week": "2026-W99"},
        {"week": "2026-W00"},
        {"week": "2026-W4\uff11"},
        {"week": "2026-W41\n"},
        {"week": "2026W41"},
        {"week": "9999-W52"},
        {"week": "2090-W01"},
    ],
)
def test_an_invalid_week_in_a_payload_is_rejected(payload: Json) -> None:
    """An invalid week is rejected."""
    with pytest.raises(InvalidPayload, match="must be like"):
        WeeklySummaryExecutor.validate("weekly_summary", payload, load_settings())


def test_the_current_week_is_rejected() -> None:
    """The current week is rejected: its numbers are incomplete, and a week is announced once."""
    running = week_of(datetime.now(UTC))
    with pytest.raises(InvalidPayload, match=f"The week {running} is not over"):
        WeeklySummaryExecutor.validate("weekly_summary", {"week": running}, load_settings())


def test_again_is_passed_to_the_announcement(gates: GateService, transport: Transport, tmp_path: Path) -> None:
    """`again` is passed to the announcement, so that targets get the week again."""
    announced: list[bool] = []

    class FlagRecorder:
        def announce(self, announcement: Announcement, *, again: bool = False) -> Announced:  # noqa: ARG002 - the protocol
            announced.append(again)
            return Announced.model_validate({"alert_id": None, "created": True, "targets": ["slack"]})

    for payload in ({"week": "2026-W41"}, {"week": "2026-W41", "again": True}):
        run_job(gates, transport, FlagRecorder(), tmp_path, payload)
    assert announced == [False, True]
