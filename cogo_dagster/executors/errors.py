"""Errors that an executor raises when it cannot run any job."""


class ExecutorUnavailable(Exception):
    """This worker cannot run the family: a setting is wrong or a program is missing.

    Raised by `Executor.start`: the worker does not start, and no job loses an attempt. The message states what to do.
    """


class SandboxUnavailable(ExecutorUnavailable):
    """Chromium cannot create its sandbox on this system."""
