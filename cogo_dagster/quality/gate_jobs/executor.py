"""Evaluates a commit: clone, fix, build, lint, test, read the reports, record a gate run.

A failed gate is a result, not a failure: the job succeeds with the status `fail`. The job fails only if the commit
cannot be evaluated; then, and if stopping the worker ended a step, no gate run is recorded. The run has the job's id,
so that a repeated attempt does not record a second run.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.isolation.confinement import Confinement, Requirements, confinement
from cogo_dagster.executors.isolation.machine import is_possible, isolation
from cogo_dagster.quality.gate_jobs.checkout import clone, shared_objects
from cogo_dagster.quality.gate_jobs.options import (
    STEPS,
    GatePayload,
    Repository,
    files_at,
    inside,
    is_branch,
    repositories,
)
from cogo_dagster.quality.gate_jobs.process import StepResult, environment, run
from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.reports.paths import ReportPaths
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.executor import (
    ExecutionFailed,
    Executor,
    ExecutorContext,
    Interrupted,
    InvalidPayload,
    Workspace,
)
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Json
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.redaction import redact
from cogo_dagster.settings import PROJECT_ROOT, Settings
from cogo_dagster.validation import mistakes

_LOG: Final = "gate.log"
_NO_ISOLATION: Final = (
    "COGO_GATE_UNISOLATED=true (this machine has neither Landlock nor namespaces to isolate commands)"
)


class GateExecutor(Executor, family="gate"):
    """Evaluates commits.

    Args:
        gates: Records gate runs.
        commands: COGO_GATE_COMMANDS.
        secrets: Values that are hidden in the log.
        unisolated: Whether the commands run with the worker's rights.
        hidden: Folders and files that the commands cannot read.
    """

    slots = 1  # builds and tests use all cores themselves

    def __init__(
        self,
        gates: GateService,
        commands: str | None,
        secrets: tuple[str, ...] = (),
        *,
        unisolated: bool = False,
        hidden: Sequence[Path] = (),
    ) -> None:
        self._gates = gates
        self._secrets = secrets
        self._unisolated = unisolated
        self._hidden = hidden
        self._commands = commands

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:
        """Build the executor from the settings."""
        settings = context.settings
        return cls(
            GateService.of(settings, context.queue.transport, context.store),
            settings.gate_commands,
            settings.secret_values(),
            unisolated=settings.gate_unisolated,
            hidden=(settings.home, PROJECT_ROOT / ".env", PROJECT_ROOT / ".cogo", Path(".env").absolute()),
        )

    @classmethod
    def validate(cls, type: str, payload: Json, settings: Settings) -> dict[str, Json]:
        """Validate the payload and return it; the repository is checked only if COGO_GATE_COMMANDS is set."""
        return cls._parsed(type, payload, settings.gate_commands).model_dump(exclude_none=True)

    @classmethod
    def payload_model(cls, type: str) -> type[GatePayload]:  # noqa: ARG003 - a job has only one type
        """Return the model of the payloads."""
        return GatePayload

    @property
    def lacks(self) -> str | None:
        """The missing setting, if any; this machine then leaves the jobs to other workers."""
        if not self._commands:
            return "COGO_GATE_COMMANDS"
        return None if self._unisolated or is_possible() else _NO_ISOLATION

    def parse(self, type: str, payload: Json) -> GatePayload:
        """Parse the payload."""
        return self._parsed(type, payload, self._commands)

    @classmethod
    def _parsed(cls, type: str, payload: Json, commands: str | None) -> GatePayload:
        try:
            parsed = GatePayload.model_validate(payload)
        except ValidationError as error:
            first, example = mistakes(error)[0], '{"branch": "main", "repository": "shop"}'
            where = first.path or "payload"
            raise InvalidPayload(
                f"The {where} of a {type} job is invalid: {first.reason}. Example: {example}."
            ) from None
        if not is_branch(parsed.branch):
            raise InvalidPayload(f"{parsed.branch!r} is not a branch name: write it as feature/login.", field="branch")
        if commands:
            cls._repository(parsed, commands)
        return parsed

    async def start(self) -> None:
        """Validate the settings.

        Raises:
            ExecutorUnavailable: COGO_GATE_COMMANDS is invalid.
        """
        if self._commands:
            repositories(self._commands)

    async def execute(self, job: Job[GatePayload], workspace: Workspace) -> ExecutionResult:
        """Evaluate one commit and record the gate run.

        Raises:
            ExecutionFailed: The commit could not be evaluated.
            Interrupted: Stopping the worker ended a step.
        """
        if not self._commands:
            raise ExecutorUnavailable("Gate jobs need COGO_GATE_COMMANDS.")
        payload, repository = job.payload, self._repository(job.payload, self._commands)
        area = workspace.folder.resolve() / "gate"  # resolved, since links in the path are not visible to the commands
        area.mkdir(exist_ok=True)
        folder, commit = await clone(repository, payload, area)
        steps = await self._isolated_steps(repository, folder, area)
        passed = not any(step.exit_code for step in steps)
        await _check_not_stopped(steps)
        log = await asyncio.to_thread(self._log, steps, workspace.folder)
        run = {
            "gate_run_id": str(job.id),
            "job_id": str(job.id),
            "lease_token": str(job.lease_token),
            "type": self.family,
            "status": "pass" if passed else "fail",
            "branch": payload.branch,
            "commit_sha": commit,
            "pull_request": payload.pull_request,
            "build_seconds": _seconds(steps, "build"),
            "test_seconds": _seconds(steps, "test"),
        }
        reports = _reports(repository, folder, area, log, passed=passed)
        try:
            kept, _ = await asyncio.to_thread(self._gates.record_reports, run, reports)
        except InvalidArgument as error:
            raise ExecutionFailed(str(error), error_class="report", retryable=False, artifacts=[log]) from error
        results = [{"step": step.name, "exit_code": step.exit_code, "seconds": step.seconds} for step in steps]
        return ExecutionResult({"gate_run": kept.model_dump(mode="json"), "steps": results}, [log])

    async def _isolated_steps(self, repository: Repository, folder: Path, area: Path) -> list[StepResult]:
        try:
            with await self._confinement(repository, area) as confined:
                if confined is not None:
                    await asyncio.to_thread(confined.change_owner)
                return await self._steps(repository, folder, area / "home", confined)
        except OSError as error:
            message = f"The commands could not be isolated ({error}); run `cogo doctor` on this machine."
            raise ExecutionFailed(message, error_class="isolation", retryable=True) from error

    async def _confinement(self, repository: Repository, area: Path) -> AbstractContextManager[Confinement | None]:
        if self._unisolated:
            return nullcontext()
        mechanisms = await asyncio.to_thread(isolation)
        if not mechanisms.possible:
            message = f"The commands were not run, since they cannot be isolated without {_NO_ISOLATION}."
            raise ExecutionFailed(message, error_class="isolation", retryable=True)
        checkouts = [configured.checkout for configured in repositories(self._commands or "{}").values()]
        requirements = Requirements(
            commands=[arguments for step in STEPS if (arguments := repository.command(step))],
            env=environment(area / "home", repository.env),
            read=repository.read,
            objects=await asyncio.to_thread(shared_objects, area / "checkout"),
            ports=repository.ports,
            unrestricted_network=repository.unrestricted_network,
            hidden=[*self._hidden, *checkouts],
        )
        return confinement(area, requirements, mechanisms)

    async def _steps(
        self, repository: Repository, folder: Path, home: Path, confined: Confinement | None
    ) -> list[StepResult]:
        """Run the steps; tests are skipped after a failed build, lint is not."""
        ended: list[StepResult] = []
        env = environment(home, repository.env)
        for step in STEPS:
            command = repository.command(step)
            failed = {result.name for result in ended if result.exit_code}
            if (
                command is None
                or (step == "fix" and self.family != "gate_fix")
                or (step == "test" and "build" in failed)
            ):
                continue
            ended.append(await run(step, command, folder, env, repository.timeout_seconds, confinement=confined))
            if STOP.stopped_at() is not None:
                await _check_not_stopped(ended)
        return ended

    @classmethod
    def _repository(cls, payload: GatePayload, commands: str) -> Repository:
        known = repositories(commands)
        name = payload.repository or (next(iter(known)) if len(known) == 1 else None)
        if name is None or name not in known:
            raise InvalidPayload(f"The repository must be one of those in COGO_GATE_COMMANDS: {', '.join(known)}.")
        if cls.family == "gate_fix" and known[name].fix is None:
            raise InvalidPayload(f"gate_fix jobs need a fix command for {name} in COGO_GATE_COMMANDS.")
        if not any(known[name].command(step) for step in ("build", "lint", "test")):
            raise InvalidPayload(f"COGO_GATE_COMMANDS has no build, lint or test command for {name}.")
        return known[name]

    def _log(self, steps: list[StepResult], folder: Path) -> ArtifactFile:
        # A new folder: the commands could have created something at a known path.
        path = Path(tempfile.mkdtemp(dir=folder)) / _LOG
        parts = [f"$ {step.name} (exit code {step.exit_code}, {step.seconds:g} s)\n{step.output}" for step in steps]
        path.write_text(redact("\n".join(parts), self._secrets), encoding="utf-8")
        return ArtifactFile(_LOG, "text/plain", path)


class GateFixExecutor(GateExecutor, family="gate_fix"):
    """Runs the repository's fix command before the other steps."""


def _reports(
    repository: Repository, folder: Path, area: Path, log: ArtifactFile, *, passed: bool
) -> Mapping[str, ReportPaths]:
    """Return the report files that exist; if all steps passed, a missing file is an error in the settings.

    Only files inside the area are used, since the commands may have replaced the checkout with a link.
    """
    is_inside = inside(area, str(folder.relative_to(area))) is not None
    found: dict[str, ReportPaths] = {}
    for kind, names in repository.reports.items():
        paths = {name: files for name in names if is_inside and (files := files_at(folder, name)) is not None}
        if paths:
            found[kind] = list(paths.values())
        if passed and len(paths) < len(names):
            missing = next(name for name in names if name not in paths)
            message = f"The commands passed but wrote no {kind} report at {missing}: correct COGO_GATE_COMMANDS."
            raise ExecutionFailed(message, error_class="report", retryable=False, artifacts=[log])
    return found


async def _check_not_stopped(steps: list[StepResult]) -> None:
    """Check that no failed step may have been ended by stopping the worker: npm and make exit with 1 on a signal.

    Raises:
        Interrupted: A stop signal arrived before a step failed, or within a second after it.
    """
    for step in steps:
        if step.exit_code and await STOP.explains(step.ended_at):
            raise Interrupted(f"{step.name} ended because the worker was being stopped.")


def _seconds(steps: list[StepResult], name: str) -> float | None:
    return next((step.seconds for step in steps if step.name == name), None)
