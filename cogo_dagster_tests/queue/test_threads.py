"""Daemon threads that run blocking work."""

import threading
from concurrent.futures import Future

import pytest

from cogo_dagster.queue.threads import DaemonThreads, started

_SECONDS = 30.0


def test_a_thread_that_could_not_be_started_is_started_for_the_next_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets the error, and the pool keeps its size."""
    threads = DaemonThreads("test", 1)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="start new thread"):
            threads.submit(lambda: None)
    done: Future[str] = Future()
    threads.submit(lambda: done.set_result("done"))
    threads.close()
    assert done.result(_SECONDS) == "done"


def test_the_threads_end_after_the_submitted_work() -> None:
    """This holds for the thread of a single call too."""
    thread = started(threading.current_thread).result(_SECONDS)
    thread.join(_SECONDS)
    assert not thread.is_alive()
