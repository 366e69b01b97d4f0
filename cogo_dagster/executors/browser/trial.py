"""Starts a browser once, for `cogo doctor` and `cogo demo`."""

from collections.abc import Sequence

from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.options import BrowserOptions


async def try_browser(options: BrowserOptions) -> Sequence[str]:
    """Start and stop a browser as a worker does; return the scripts without glyphs.

    Raises:
        ExecutorUnavailable: The browser does not start.
        Interrupted: The process is being stopped.
    """
    executor = BrowserExecutor(options)
    try:
        await executor.start_quietly()
        return executor.scripts_without_glyphs
    finally:
        await executor.stop()
