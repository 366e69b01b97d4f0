"""Waits of the worker's loop for signals and calls."""

import asyncio

import pytest

from cogo_dagster.queue.worker.calls import Signal, finish_or_give_up, wait_for_any, wait_for_result


async def after_a_step(signal: Signal) -> None:
    """Set a signal in a later step of the loop."""
    asyncio.get_running_loop().call_soon(signal.set)


def test_a_wait_ends_with_any_of_its_signals() -> None:
    """Also with one that was set before, and each wait ends by itself."""

    async def run() -> None:
        first, second = Signal(), Signal()
        waits = [asyncio.create_task(wait_for_any(first, second)) for _ in range(2)]
        await after_a_step(second)
        await asyncio.wait_for(asyncio.gather(*waits), 5)
        await asyncio.wait_for(wait_for_any(first, second), 5)
        assert (first.is_set(), second.is_set()) == (False, True)

    asyncio.run(run())


def test_a_wait_ends_at_its_timeout() -> None:
    """No signal is set."""
    signal = Signal()
    asyncio.run(asyncio.wait_for(wait_for_any(signal, timeout_seconds=0.001), 5))
    assert not signal.is_set()


def test_a_wait_with_a_set_signal_lets_the_loop_continue() -> None:
    """A loop that waits for a signal that stays set does not block the others."""

    async def run() -> list[str]:
        signal, steps = Signal(), list[str]()
        signal.set()
        asyncio.get_running_loop().call_soon(steps.append, "other")
        await wait_for_any(signal)
        return [*steps, "wait"]

    assert asyncio.run(run()) == ["other", "wait"]


@pytest.mark.parametrize("way", ["result", "error", "cancelled", "signal"])
def test_a_call_has_a_result_or_not(way: str) -> None:
    """Only a result is one; an exception stays in the future, for the caller that awaits it."""

    async def run() -> bool:
        signal = Signal()
        future = asyncio.get_running_loop().create_future()
        if way == "result":
            future.set_result(None)
        elif way == "error":
            future.set_exception(OSError())
        elif way == "cancelled":
            future.cancel()
        else:
            await after_a_step(signal)
        return await asyncio.wait_for(wait_for_result(future, signal), 5)

    assert asyncio.run(run()) == (way == "result")


def test_work_is_abandoned_some_time_after_the_signal() -> None:
    """It is cancelled, and there is no result."""

    async def run() -> list[object]:
        signal, ended = Signal(), list[object]()

        async def endless() -> str:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")
            return "result"

        signal.set()
        ended.append(await finish_or_give_up(endless(), signal, 0.001))
        await asyncio.sleep(0)
        return ended

    assert asyncio.run(run()) == [None, "cancelled"]
