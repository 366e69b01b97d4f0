"""Start a browser once and end it: what the doctor and the demo want to know before a job needs it."""

from collections.abc import Sequence

from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.options import BrowserOptions


async def try_browser(options: BrowserOptions) -> Sequence[str]:
    """Start a browser as a worker does; return the scripts for which it has no glyphs.

    Raises:
        ExecutorUnavailable: It does not start.
        Interrupted: The process is being stopped.
    """
    executor = BrowserExecutor(options)
    try:
        await executor.start()
        return executor.scripts_without_glyphs
    finally:
        await executor.stop()
