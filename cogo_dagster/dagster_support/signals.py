"""SIGTERM for code servers that a script starts in the background.

Shells start background processes with SIGINT ignored (POSIX, 2.11), and Dagster handles SIGTERM as SIGINT: when a
server starts, and again after it has loaded the definitions.
"""

import signal
from typing import Final

from dagster._utils import interrupts

_NAME: Final = "setup_interrupt_handlers"


def end_on_sigterm() -> None:
    """Let SIGTERM end this process although SIGINT is ignored, from the next time that Dagster sets its handler."""
    setattr(interrupts, _NAME, _setup_interrupt_handlers)


def _setup_interrupt_handlers() -> None:
    handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, signal.default_int_handler if handler is signal.SIG_IGN else handler)
