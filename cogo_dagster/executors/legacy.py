"""Support for executors written before the class `Executor` existed: plain classes, created by `build(settings)`."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Self

from cogo_dagster.queue.executor import Executor, ExecutorContext
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.workspace import Workspace


class LegacyExecutor(Executor):
    """Adapts an executor that is not a subclass of `Executor`, by duck typing.

    Args:
        executor: What the package's `build` returned.
        context: Passed to the executor's method `use`, if it has one.
    """

    def __init__(self, executor: Any, context: ExecutorContext) -> None:
        self._executor = executor
        self.family = executor.family
        self.slots = executor.slots
        self.prefetch = executor.prefetch
        self.makes_artifacts = getattr(executor, "makes_artifacts", True)
        use = getattr(executor, "use", None)
        if use is not None:
            use(SimpleNamespace(transport=context.queue.transport, store=context.store))

    @classmethod
    def of(cls, build: Callable[..., Any], context: ExecutorContext) -> "Executor | Self":
        """Call the package's `build` and return an executor.

        Raises:
            TypeError: `build` returned something else.
        """
        executor = build(context.settings)
        if isinstance(executor, Executor):
            return executor
        if not isinstance(getattr(executor, "family", None), str) or not callable(getattr(executor, "execute", None)):
            raise TypeError("its build function does not return an executor: name a subclass of cogo_dagster.Executor")
        return cls(executor, context)

    @property
    def lacks(self) -> str | None:
        """The executor's own `lacks`, if it has one."""
        setting: str | None = getattr(self._executor, "lacks", None)
        return setting

    def checked(self, type: str, payload: Json) -> dict[str, Json]:
        """Validate the payload with the executor's own `validate`."""
        stored: dict[str, Json] = self._executor.validate(type, payload)
        return stored

    async def start(self) -> None:
        """Start the executor."""
        await self._executor.start()

    async def stop(self) -> None:
        """Stop the executor."""
        await self._executor.stop()

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Execute one attempt."""
        result: ExecutionResult = await self._executor.execute(job, workspace)
        return result
