"""Two families for chaos runs: `chaos` follows its payload, `chaos_quick` succeeds at once and is prefetched."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from cogo_dagster.queue.executor import ExecutionFailed, Executor, ExecutorContext, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job
from cogo_dagster_tests.chaos.effects import VARIABLE, EffectLog
from cogo_dagster_tests.chaos.endings import ENDINGS

_SLOTS: Final = 16
_PREFETCH: Final = 400


class ChaosExecutor(Executor, family="chaos"):
    """Runs jobs as their payload says; see `execute`."""

    def __init__(self, log: EffectLog) -> None:
        self._log = log

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:  # noqa: ARG003 - the environment has the path of the log
        """Create the executor."""
        return cls(EffectLog(Path(os.environ[VARIABLE])))

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Log the beginning, work, and log a success just before it is returned."""
        self._log.write("begin", job.id, job.lease_token)
        what = str(job.payload.get("do", "succeed"))
        await asyncio.sleep(float(job.payload.get("seconds", 0)))
        if what in ENDINGS:
            self._log.write("odd", job.id, job.lease_token)
            return await ENDINGS[what](workspace)
        files = _files(what, job.payload, workspace)
        if what == "fail":
            raise ExecutionFailed("It failed.", error_class="chaos", retryable=True, artifacts=files)
        if what == "snooze" and os.urandom(1)[0] % 2:
            raise Snooze("Later.", delay_seconds=1)
        self._log.write("end", job.id, job.lease_token, len(files))
        return ExecutionResult({"token": str(job.lease_token)}, files)


def _files(what: str, payload: Mapping[str, Any], workspace: Workspace) -> list[ArtifactFile]:
    files = []
    for number in range(int(payload.get("files", 0))):
        path = workspace.folder / f"{number}.bin"
        path.write_bytes(os.urandom(int(payload.get("size_bytes", 2_000))))
        files.append(ArtifactFile(path.name, "application/octet-stream", path))
    return files


class ChaosQuickExecutor(ChaosExecutor, family="chaos_quick"):
    """Is prefetched, and produces no files."""

    slots = None
    prefetch = _PREFETCH
    makes_artifacts = False
