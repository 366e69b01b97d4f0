"""What an executor says when it cannot work at all, whatever the job."""


class ExecutorUnavailable(Exception):
    """This worker cannot run the family: a setting is wrong or a program is missing.

    Raised by `Executor.start`, so that the worker refuses to start and no job pays for it. The message is one
    sentence that says what to do.
    """


class SandboxUnavailable(ExecutorUnavailable):
    """This system does not let Chromium build its sandbox."""
