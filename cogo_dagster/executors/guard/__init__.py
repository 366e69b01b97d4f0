"""A guard process between the worker and a program: no process of the program outlives the program or the worker.

`program.py` is the guard; `command.py` runs a command under it and returns its output.
"""

from cogo_dagster.executors.guard.command import CommandEnded, GuardedCommand
from cogo_dagster.executors.guard.program import guard_command

__all__ = ["CommandEnded", "GuardedCommand", "guard_command"]
