"""What a browser executor is told once, when it is built."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from cogo_dagster.settings import Settings, default_home


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """The browser's part of the settings; tests and the demo make their own.

    Attributes:
        real_mode: False fetches pages over HTTP, without a browser.
        headless: False shows the window; needs a display.
        no_sandbox: True runs Chromium without its sandbox, as root must.
        channel: `chrome`, `msedge`, `chromium` (and their -beta, -dev), or the path of an executable; None finds one.
        nav_timeout_ms: Longest wait of one navigation or action unless the payload says otherwise.
        force_success: A failed execution is returned as a success marked `forced`.
        trace: Which attempts are traced: `retries` the second and later ones, and the only one of a job that has one;
            `always` and `never` speak for themselves. A trace is kept of attempts that fail.
        allowed_hosts: Hosts, or host:port, exempt from the refusal of private addresses.
        concurrency: Jobs at once.
        jobs_per_browser: After so many jobs a fresh browser takes over, since contexts leak memory
            (playwright#6319, #15400); crawlee retires at 100 too.
        memory_mb_per_browser: A browser that takes more than so many megabytes with all its processes gets no new
            job: a fresh one takes over.
        attempt_seconds: Longest run of one attempt of a job without a limit of its own.
        install: Whether a missing browser is installed at start.
        home: Where an installation keeps its lock and log, and a browser that has no other place.
        secrets: Values that must not stand in a trace.
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
    jobs_per_browser: int = 100
    memory_mb_per_browser: int = 2_000
    attempt_seconds: float = 300
    install: bool = True
    home: Path = field(default_factory=default_home)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def traces(self, attempt: int, max_attempts: int) -> bool:
        """Whether an attempt is traced unless its payload says otherwise."""
        if self.trace == "retries":
            return attempt > 1 or max_attempts == 1
        return self.trace == "always"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the browser's part of the settings."""
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
            home=settings.home,
            secrets=settings.secret_values(),
        )
