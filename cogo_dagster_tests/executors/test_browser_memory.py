"""A page that uses too much memory ends alone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cogo_dagster.executors.browser.memory import ProcessTree, is_renderer, tree_memory_bytes
from cogo_dagster.formatting.browser_evidence import BrowserEvidence
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import ExecutionResult
from cogo_dagster_tests.executors.bench import Bench, artifact

pytestmark = pytest.mark.linux("anonymous memory is read from /proc")

KEEPS = "<title>Keeps</title><script>const kept = []; %s</script>"
ALLOCATES = {
    "buffers": KEEPS % "setInterval(() => kept.push(new Uint8Array(2e7).fill(1)), 10)",
    "strings": KEEPS % "setInterval(() => kept.push(Array.from({length: 4e5}, (_, i) => 'x' + i)), 10)",
    "endless script": KEEPS % "setTimeout(() => { for (;;) kept.push(new Uint8Array(1e6).fill(1)) }, 100)",
}
WAITS = {"actions": [{"do": "wait", "ms": 60_000}]}


@pytest.fixture
def small(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The shared browser, whose pages may use 150 MB during the test."""
    shared.usable()
    shared.change(monkeypatch, memory_mb_per_page=150)
    return shared


@pytest.mark.parametrize("kind", ALLOCATES)
def test_a_page_above_its_share_fails_alone(small: Bench, kind: str) -> None:
    """The page fails as out_of_memory within seconds, its neighbour succeeds, and the browser is kept."""
    small.site.pages["/allocates"] = ALLOCATES[kind]
    running = small.running
    waits: Any = {"url": small.site.url("/"), "actions": [{"do": "wait", "ms": 3_000}]}

    async def scenario() -> list[Any]:
        jobs = small.attempt({"url": small.site.url("/allocates"), **WAITS}), small.attempt(waits)
        return list(await asyncio.wait_for(asyncio.gather(*jobs, return_exceptions=True), 50))

    error, neighbour = small.do(scenario())
    assert isinstance(error, ExecutionFailed), error
    assert (error.error_class, error.retryable) == ("out_of_memory", True), error.message
    assert "the limit for a page is 150 MB" in error.message
    evidence = BrowserEvidence.read(artifact(error, "evidence.json"))
    assert evidence is not None
    assert {"screenshot.png", "page.html"} == set(evidence.missing)
    assert isinstance(neighbour, ExecutionResult), neighbour
    assert small.running is running
    assert running.cause_of_crash() is None  # used up: the next crash has another cause
    assert small.run({"url": small.site.url("/")}).result["status"] == 200


CAPTURED: dict[str, dict[str, Any]] = {
    "window": {"screenshot": True},
    "whole page": {"screenshot": True, "full_page": True},
    "element": {"actions": [{"do": "wait", "ms": 200}, {"do": "screenshot", "name": "e", "selector": "html"}]},
    "pdf": {"pdf": True, "screenshot": False, "html": False},
}


@pytest.mark.parametrize("kind", CAPTURED)
def test_a_page_that_is_captured_fails_alone(small: Bench, kind: str) -> None:
    """A page is ended while the browser captures it, which a Chromium whose renderer is killed does not survive."""
    small.site.pages["/allocates"] = ALLOCATES["endless script"] + "<div style='height:3000px'>"
    running = small.running
    waits: Any = {"url": small.site.url("/"), "actions": [{"do": "wait", "ms": 3_000}]}
    captured = {"url": small.site.url("/allocates"), "actions": [{"do": "wait", "ms": 200}], **CAPTURED[kind]}

    async def scenario() -> list[Any]:
        jobs = small.attempt(captured), small.attempt(waits)
        return list(await asyncio.wait_for(asyncio.gather(*jobs, return_exceptions=True), 50))

    error, neighbour = small.do(scenario())
    assert isinstance(error, ExecutionFailed), error
    assert error.error_class == "out_of_memory", error.message
    assert isinstance(neighbour, ExecutionResult), neighbour
    assert small.running is running
    assert not running.pages
    assert small.run({"url": small.site.url("/")}).result["status"] == 200


def test_the_memory_of_a_process_tree_is_measured() -> None:
    """The memory of children is counted, shared memory is not, and the tree of a dead process is empty."""
    program = "import sys; kept = bytearray(b'x' * 50_000_000); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = ProcessTree([os.getpid()]).memory()
        assert 50_000_000 < found[child.pid] < 80_000_000
        assert tree_memory_bytes([child.pid]) == found[child.pid]
        assert not is_renderer(child.pid)
        child.communicate()
    assert tree_memory_bytes([child.pid]) == 0
    assert not is_renderer(child.pid)


def test_the_sum_is_none_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without /proc nothing is measured."""
    monkeypatch.setattr("cogo_dagster.executors.browser.memory._PROCESSES", Path("/nowhere"))
    assert ProcessTree([os.getpid()]).memory() == {}
    assert tree_memory_bytes([os.getpid()]) is None
