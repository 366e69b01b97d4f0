"""Functions that parse external input: each accepts it, or raises its one error."""

import contextlib
import json
from typing import Any, Final
from uuid import uuid4

from hypothesis import strategies as st

from cogo_dagster.executors.registry import installed_executors
from cogo_dagster.quality.reports import ReportError, read_report
from cogo_dagster.quality.reports.report import KINDS
from cogo_dagster.queue.bulk_plan import BulkPlan
from cogo_dagster.queue.decoding import decode
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.executor import Executor, InvalidPayload
from cogo_dagster.redaction import redact
from cogo_dagster.settings import load_settings
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.cursors import read_cursor
from cogo_dagster_tests.fuzz.strategies import TEXTS, as_base64, as_bytes, as_xml, documents
from cogo_dagster_tests.fuzz.trial import Trial

_PLAN_KEYS: Final = ("format", "operation", "arguments", "items", "made_at", "made_by", "deployment_id")
_PAYLOAD_KEYS: Final = ("url", "branch", "week", "file_key", "actions", "nodes", "timeout_seconds", "viewport", "mode")
_PLAN: Final = {
    "format": "cogo plan 1",
    "operation": "purge_jobs",
    "arguments": {},
    "items": [{"id": str(uuid4()), "version": "1"}],
    "made_at": "2026-11-27T00:00:00+00:00",
    "made_by": "anna",
    "deployment_id": str(uuid4()),
}


def payloads(trial: Trial) -> None:
    """Each executor's validation raises InvalidPayload and nothing else."""
    settings = load_settings(None)
    executors = installed_executors(settings).executors

    def check(case: tuple[Executor, Any]) -> None:
        executor, payload = case
        with contextlib.suppress(InvalidPayload):
            executor.validate(executor.family, payload, settings)

    keys = st.one_of(TEXTS, st.sampled_from(_PAYLOAD_KEYS))
    trial.each(st.tuples(st.sampled_from(executors), documents(keys)), check)


def reports(trial: Trial) -> None:
    """Each parser raises ReportError and nothing else."""
    path = trial.surroundings.folder / "report"

    def check(case: tuple[str, bytes]) -> None:
        kind, content = case
        path.write_bytes(content)
        with contextlib.suppress(ReportError):
            read_report(kind, path)

    contents = st.one_of(st.binary(max_size=200), documents().map(as_bytes), TEXTS.map(as_xml))
    trial.each(st.tuples(st.sampled_from(sorted(KINDS)), contents), check)


def plans(trial: Trial) -> None:
    """Parsing a damaged plan raises InvalidArgument and nothing else."""

    def check(changed: dict[str, Any]) -> None:
        with contextlib.suppress(InvalidArgument):
            BulkPlan.from_json(changed)

    anything = documents(st.sampled_from(_PLAN_KEYS))
    damaged = st.dictionaries(st.sampled_from(_PLAN_KEYS), anything, max_size=3).map(lambda change: _PLAN | change)
    trial.each(st.one_of(anything, damaged), check)


def cursors(trial: Trial) -> None:
    """Parsing an invalid cursor raises RequestDenied and nothing else."""

    def check(cursor: str) -> None:
        with contextlib.suppress(RequestDenied):
            read_cursor(cursor, "created_at", "id")

    trial.each(st.one_of(TEXTS, documents().map(as_base64)), check)


def texts(trial: Trial) -> None:
    """Decoding raises ValueError and nothing else; redaction raises nothing."""

    def check(text: str) -> None:
        with contextlib.suppress(ValueError):
            decode(text)
        assert isinstance(redact(text, ("hunter2hunter2",)), str)
        json.dumps(redact(text, ("hunter2hunter2",)))

    written = documents().map(lambda value: as_bytes(value).decode("utf-8", "replace"))
    trial.each(st.one_of(TEXTS, written), check)
