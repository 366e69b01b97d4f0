"""Markers of the stages of a worker, which Dagster's timeline draws in the rows of the ops.

The ops run one after another, whereas the stages run concurrently. The bar of an op shows how long it followed its
stage, the marker when the stage worked.
"""

from typing import Final

import dagster as dg
from dagster._core.events import EngineEventData

from cogo_dagster.queue.worker import EventKind, Stage, WorkerEvent

OPS: Final = {Stage.CLAIM: "claim_jobs", Stage.EXECUTE: "execute_jobs", Stage.UPLOAD: "upload_artifacts"}

_STARTS: Final = {EventKind.CLAIMED: (Stage.CLAIM, Stage.EXECUTE), EventKind.EXECUTED: (Stage.UPLOAD,)}
_LABELS: Final = {Stage.CLAIM: "claiming", Stage.EXECUTE: "executing", Stage.UPLOAD: "uploading and settling"}


class StageMarkers:
    """Reports when each stage of a worker began and ended."""

    def __init__(self) -> None:
        self._begun: set[Stage] = set()

    def report(self, context: dg.OpExecutionContext, event: WorkerEvent) -> None:
        """Report the begin of a stage at its first event, and its end."""
        for stage in _STARTS.get(event.kind, ()):
            if stage not in self._begun:
                self._begun.add(stage)
                label = _LABELS[stage]
                self._mark(context, stage, f"Began {label}.", EngineEventData(marker_start=label))
        if event.kind is EventKind.STAGE_FINISHED and event.stage in self._begun:
            label = _LABELS[event.stage]
            self._mark(context, event.stage, f"Ended {label}.", EngineEventData(marker_end=label))

    @staticmethod
    def _mark(context: dg.OpExecutionContext, stage: Stage, message: str, marker: EngineEventData) -> None:
        context.instance.report_engine_event(
            message, dagster_run=context.run, engine_event_data=marker, step_key=OPS[stage]
        )
