"""The application for the duration of a short command."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Self

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.queue.threads import started
from cogo_dagster.settings import Settings


@contextmanager
def opened(settings: Settings) -> Iterator[Application]:
    """Open the application for a short command, which leaves the embedded database running for the next one."""
    with open_application(settings, idle_seconds=settings.database_idle_seconds) as application:
        yield application


class OpenedAhead:
    """A context in which the application can be opened while the command still prepares its input.

    Args:
        settings: Settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._opening: Future[Application] | None = None

    def start(self, prepare: Callable[[Application], object]) -> None:
        """Begin to open the application in another thread, without waiting; errors are raised by `application`.

        Args:
            prepare: Called with the application once it is open.
        """
        if self._opening is None:
            self._opening = started(lambda: self._prepared(prepare))

    def application(self) -> Application:
        """Return the application; open it, or wait until it is open."""
        return self._open() if self._opening is None else self._opening.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opening is None or self._opening.done():
            self._stack.close()
        else:  # the command has failed, and does not wait for a database that it does not need
            self._opening.add_done_callback(lambda _: self._stack.close())

    def _prepared(self, prepare: Callable[[Application], object]) -> Application:
        application = self._open()
        prepare(application)
        return application

    def _open(self) -> Application:
        return self._stack.enter_context(opened(self._settings))
