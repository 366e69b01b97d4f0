"""Options of the browser executor."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self

from cogo_dagster.machine import usable_memory_bytes
from cogo_dagster.settings import Settings, default_home

MIN_PAGE_MB: Final = 512
MAX_PAGE_MB: Final = 2_000


def page_limit_mb(slots: int, memory_bytes: int | None) -> int:
    """Return the memory that one page may use: its share of three quarters of the memory, within limits."""
    share_mb = MAX_PAGE_MB if memory_bytes is None else int(memory_bytes * 0.75 / slots / 1_000_000)
    return max(MIN_PAGE_MB, min(share_mb, MAX_PAGE_MB))


def browser_limit_mb(slots: int) -> int:
    """Return the memory above which a browser is replaced; one with four pages uses about 500 MB."""
    return 1_000 + 250 * slots


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """The browser's part of the settings; tests and the demo create their own.

    Attributes:
        real_mode: False fetches pages over HTTP, without a browser.
        headless: False shows the window; needs a display.
        no_sandbox: True runs Chromium without its sandbox, which is required as root.
        channel: `chrome`, `msedge`, `chromium` (and their -beta, -dev), or the path of an executable; None finds one.
        nav_timeout_ms: Timeout of one navigation or action; the payload overrides it.
        force_success: A failed execution is returned as a success marked `forced`.
        trace: Which attempts are traced: `retries` (the second and later attempts, and the first if it is the only
            one), `always` or `never`. Traces of failed attempts are kept.
        allowed_hosts: Hosts, or host:port, for which private addresses are allowed.
        concurrency: Number of concurrent jobs.
        jobs_per_browser: The browser is replaced after this many jobs, since contexts leak memory
            (playwright#6319, #15400).
        memory_mb_per_browser: A browser whose processes use more memory than this, in megabytes, is replaced.
        memory_mb_per_page: A page whose process uses more memory than this, in megabytes, is ended.
        attempt_seconds: Time limit of an attempt of a job without its own limit.
        install: Whether a missing browser is installed at start.
        home: The folder for the lock and log of an installation, and for a browser that cannot be installed elsewhere.
        secrets: Values that are removed from traces.
    """

    real_mode: bool = True
    headless: bool = True
    no_sandbox: bool = False
    channel: str | None = None
    nav_timeout_ms: int = 30_000
    force_success: bool = False
    trace: Literal["retries", "always", "never"] = "retries"
    allowed_hosts: tuple[str, ...] = ()
    concurrency: int = 4
    jobs_per_browser: int = 200
    memory_mb_per_browser: int = 2_000
    memory_mb_per_page: int = 1_500
    attempt_seconds: float = 300
    install: bool = True
    home: Path = field(default_factory=default_home)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def traces(self, attempt: int, max_attempts: int) -> bool:
        """Return whether an attempt is traced if its payload does not specify it."""
        if self.trace == "retries":
            return attempt > 1 or max_attempts == 1
        return self.trace == "always"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the browser's part of the settings."""
        return cls(
            real_mode=settings.browser_real_mode,
            headless=settings.headless,
            no_sandbox=settings.no_sandbox,
            channel=settings.browser_channel,
            nav_timeout_ms=settings.browser_nav_timeout_ms,
            force_success=settings.browser_force_success,
            trace=settings.browser_trace,
            allowed_hosts=settings.browser_allowed_hosts,
            concurrency=settings.concurrency,
            memory_mb_per_browser=browser_limit_mb(settings.concurrency),
            memory_mb_per_page=page_limit_mb(settings.concurrency, usable_memory_bytes()),
            home=settings.home,
            secrets=settings.secret_values(),
        )
