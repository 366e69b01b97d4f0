"""Jobs that open a web page in a real browser: the families `browser` and `browser.pdf`."""

from typing import TYPE_CHECKING

from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.settings import Settings

if TYPE_CHECKING:
    from cogo_dagster.executors.browser.executor import BrowserExecutor

__all__ = ["BrowserOptions", "build"]


def build(settings: Settings) -> "BrowserExecutor":
    """Make the executor that the environment asks for; nothing starts until `start`.

    Raises:
        ExecutorUnavailable: BROWSER_ALLOWED_HOSTS holds something that is not a host.
    """
    from cogo_dagster.executors.browser.executor import BrowserExecutor  # noqa: PLC0415 - importing this costs nothing

    return BrowserExecutor(BrowserOptions.from_settings(settings))
