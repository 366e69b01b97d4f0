"""Jobs that open a web page in a real browser: the types `browser` and `browser.pdf`."""

from cogo_dagster.executors.browser.options import BrowserOptions

__all__ = ["BrowserOptions"]
