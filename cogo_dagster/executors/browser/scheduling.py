"""The scheduling policy of a browser's processes."""

import contextlib
import os


def schedule_as_batch(pid: int) -> None:
    """Make Linux schedule a process, and those that it starts afterwards, as batch processes (sched(7), SCHED_BATCH).

    A thread that wakes up then does not preempt a running one. The processes of a browser exchange messages all the
    time, and preemption takes a tenth of their CPU time if all processors are in use. A policy that the
    operator has chosen, for example with chrt(1), is kept. No effect on other systems, or where it is forbidden.
    """
    with contextlib.suppress(OSError):  # no /proc, or it hides processes
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):  # noqa: PTH208 - as in memory.py
            with contextlib.suppress(OSError):  # the thread has ended, or seccomp(2) forbids the call
                if os.sched_getscheduler(thread) == os.SCHED_OTHER:
                    os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
