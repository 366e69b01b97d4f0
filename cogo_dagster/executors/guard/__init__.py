"""A guard process between the worker and a program: no process that the program starts outlives them.

`program.py` is the guard; `command.py` runs a command under it and returns its output.
"""

from cogo_dagster.executors.guard.command import CommandEnded, GuardedCommand
from cogo_dagster.executors.guard.program import guard_command

__all__ = ["CommandEnded", "GuardedCommand", "guard_command"]
