"""A guard between the worker and a program that a job runs: nothing the program starts outlives the two.

`program.py` is the guard, a process of its own; `command.py` runs a command under it and returns its output.
"""

from cogo_dagster.executors.guard.command import CommandEnded, GuardedCommand
from cogo_dagster.executors.guard.program import words

__all__ = ["CommandEnded", "GuardedCommand", "words"]
