"""`cogo enqueue … @FILE`: many jobs from a file."""

import gc
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock
from uuid import UUID

import pytest

from cogo_dagster.cli import enqueue_file, opened
from cogo_dagster.cli.command import BadInput
from cogo_dagster.cli.enqueue_batches import Line, calls_at_once, enqueued_batches, lines_left, prepare_calls
from cogo_dagster.executors import registry
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.queue.model import Enqueued, EnqueuedJobs, NewJob
from cogo_dagster.settings import load_settings
from cogo_dagster.text import parse_storable_json
from cogo_dagster_tests.cli.terminal import Terminal


def written(cogo: Terminal, *lines: object) -> str:
    """Write lines of JSON to a file, and return the argument that names it."""
    Path(cogo.folder / "jobs.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return "@jobs.jsonl"


FAMILIES = [("browser", {"url": "https://shop.example/"}), ("figma", {"file_key": "AbC"})]


def page(number: int) -> dict[str, str]:
    """Return the payload of a page."""
    return {"url": f"https://shop.example/{number}"}


def test_each_line_is_a_job(cogo: Terminal, queue: Queue) -> None:
    """A line is a payload, or a job with its own values; options apply to the others; over several batches."""
    lines = [page(0), {"payload": page(1), "priority": 1, "idempotency_key": "k"}, *map(page, range(2, 1_200))]
    file = written(cogo, *lines)
    done = cogo.ok("enqueue", "browser", file, "--priority", "7", "--executor-id", "e-1")
    assert (done["enqueued"], done["created"], len(done["job_ids"])) == (1_200, 1_200, 1_200)
    newest = queue.list_jobs(max_jobs=1_000)
    assert newest[0].subject == "https://shop.example/1199"
    [keyed] = queue.get_jobs([UUID(done["job_ids"][1])])
    assert (keyed.priority, keyed.idempotency_key, keyed.executor_id) == (1, "k", "e-1")
    assert newest[0].priority == 7
    again = cogo.run("enqueue", "browser", written(cogo, lines[1]), "--executor-id", "e-1")
    assert again.out == "Enqueued 0 jobs; 1 job with the same idempotency key existed.\n"


def test_the_installed_executors_are_searched_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Searching takes milliseconds, which for each line would take minutes with a large file."""
    search = Mock(return_value=registry.families())
    monkeypatch.setattr(registry, "families", search)
    settings = load_settings(tmp_path / ".env")
    lines = [json.dumps({"type": kind, "payload": payload}) for kind, payload in FAMILIES * 5]
    assert len(enqueue_file._read(settings, lines, NewJob(""), None, None)) == 10
    assert search.call_count == 1


@pytest.mark.parametrize("enabled", [True, False])
def test_the_settings_of_the_interpreter_are_as_before(tmp_path: Path, enabled: bool) -> None:
    """Garbage collection is off while a file is read, also for a caller that had turned it off; turns are shorter."""
    file = tmp_path / "jobs.jsonl"
    file.write_text("{")
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(BadInput):
            enqueue_file.enqueue_file(
                load_settings(tmp_path / ".env"), f"@{file}", NewJob("browser"), family="browser", quiet=True
            )
        assert gc.isenabled() is enabled
        assert sys.getswitchinterval() == pytest.approx(0.005)
    finally:
        gc.enable()


def test_the_database_is_opened_while_a_long_file_is_read(cogo: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two connections are ready when the last line has been read; a short file is read first."""
    prepared = threading.Semaphore(0)
    prepare = Queue.prepare_enqueue
    seen: list[bool] = []

    def prepares(self: Queue) -> None:
        prepare(self)
        prepared.release()

    def last_line_is_read(text: str) -> tuple[object, bool]:
        if text == json.dumps(page(1_000)):
            seen.append(all(prepared.acquire(timeout=30) for _ in range(2)))
        return parse_storable_json(text)

    monkeypatch.setattr(Queue, "prepare_enqueue", prepares)
    monkeypatch.setattr(enqueue_file, "parse_storable_json", last_line_is_read)
    assert cogo.ok("enqueue", "browser", written(cogo, *map(page, range(1_001))))["created"] == 1_001
    assert cogo.ok("enqueue", "browser", written(cogo, page(1)))["created"] == 1
    assert seen == [True]
    assert not prepared.acquire(blocking=False)


def test_an_invalid_line_of_a_long_file_does_not_wait_for_the_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error is that of the line; what was opened in the meantime is closed."""
    opening, closed = threading.Event(), threading.Event()

    @contextmanager
    def opens_late(_: object) -> Iterator[object]:
        assert opening.wait(30)
        yield Mock(settings=Mock(pool_size=1))
        closed.set()

    monkeypatch.setattr(opened, "opened", opens_late)
    file = tmp_path / "jobs.jsonl"
    file.write_text("\n".join([json.dumps(page(0))] * 1_100 + ["{"]))
    with pytest.raises(BadInput, match="line 1101: it is not JSON"):
        enqueue_file.enqueue_file(
            load_settings(tmp_path / ".env"), f"@{file}", NewJob("browser"), family="browser", quiet=True
        )
    opening.set()
    assert closed.wait(30)


def test_a_long_file_reports_that_the_database_is_unreachable(nowhere: Terminal) -> None:
    """As a short file does."""
    for count in (1, 1_200):
        done = nowhere.run("enqueue", "browser", written(nowhere, *map(page, range(count))))
        assert (done.code, "The database cannot be reached" in done.err) == (4, True)


def test_calls_that_cannot_be_prepared_are_made_nevertheless() -> None:
    """One is prepared for each connection in use; the first batch raises the error, if it has the same."""
    prepare = Mock(side_effect=DatabaseUnavailable("The database cannot be reached."))
    prepare_calls(prepare, 8)
    prepare_calls(prepare, 1)
    assert prepare.call_count == 3


def test_jobs_of_any_type(cogo: Terminal, queue: Queue) -> None:
    """`cogo enqueue jobs` takes the type from each line, and `figma` from the payload."""
    file = written(cogo, {"type": "browser.pdf", "payload": page(1)}, {"type": "figma", "payload": {"file_key": "AbC"}})
    cogo.ok("enqueue", "jobs", file)
    cogo.ok("enqueue", "figma", written(cogo, {"file_key": "AbC", "node_ids": ["1:2"]}))
    assert [job.type for job in queue.list_jobs()] == ["figma.nodes", "figma", "browser.pdf"]


def test_a_text_may_contain_other_line_separators(cogo: Terminal, queue: Queue) -> None:
    """U+2028 and U+0085 are allowed in JSON texts; lines may end as on Windows."""
    payloads = [{"file_key": "AbC", "node_ids": ["1:2"]}, {"url": "https://shop.example/\u2028\x85"}]
    lines = [
        json.dumps({"type": kind, "payload": payload}, ensure_ascii=False)
        for kind, payload in zip(("figma.nodes", "browser"), payloads, strict=True)
    ]
    (cogo.folder / "jobs.jsonl").write_bytes("\r\n".join([*lines, ""]).encode())
    done = cogo.ok("enqueue", "jobs", "@jobs.jsonl")
    assert [job.payload for job in queue.get_jobs([UUID(job_id) for job_id in done["job_ids"]])] == payloads


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: it is not JSON"),
        ("[1]", "line 2: it is not a JSON object"),
        ('{"url": 5}', "line 2: "),
        ('{"payload": {"url": "https://a.example"}, "prio": 1}', "line 2: unknown fields of a job: prio."),
        ('{"payload": {"url": "https://a.example"}, "priority": "high"}', "line 2: priority must be a number"),
        ('{"payload": {"url": "https://a.example"}, "type": "figma"}', "line 2: its type is figma"),
    ],
)
def test_an_invalid_line_enqueues_nothing(cogo: Terminal, queue: Queue, line: str, message: str) -> None:
    """The message names the line, and no valid line is enqueued."""
    (cogo.folder / "jobs.jsonl").write_text(f"{json.dumps(page(1))}\n{line}\n", encoding="utf-8")
    done = cogo.run("enqueue", "browser", "@jobs.jsonl")
    assert done.code == 2
    assert "No job was enqueued" in done.err
    assert message in done.err
    assert queue.list_jobs() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["https://a.example"], "write @ in front of its name, such as @jobs.jsonl (and a URL after --url)"),
        (["@missing.jsonl"], "missing.jsonl cannot be read (No such file or directory)"),
        (["@empty.jsonl"], "The file has no jobs"),
        (["@empty.jsonl", "--payload", "{}"], "--payload and --idempotency-key are for one job"),
    ],
)
def test_a_wrong_file_is_explained(nowhere: Terminal, arguments: list[str], message: str) -> None:
    """The message says what to write, without a connection to the database."""
    (nowhere.folder / "empty.jsonl").touch()
    done = nowhere.run("enqueue", "browser", *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_failure_names_the_line_to_continue_with(
    cogo: Terminal, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of earlier batches are enqueued, and the rest of the file can be enqueued later."""
    enqueue = Queue.enqueue
    calls: list[int] = []

    def fails_at_the_second(self: Queue, jobs: Sequence[NewJob]) -> EnqueuedJobs:
        calls.append(len(jobs))
        if len(calls) == 2:
            raise DatabaseUnavailable("The database cannot be reached.")
        return enqueue(self, jobs)

    monkeypatch.setattr(Queue, "enqueue", fails_at_the_second)
    done = cogo.run("enqueue", "browser", written(cogo, *map(page, range(1_200))))
    assert done.code == 4
    assert "1,000 of 1,200 jobs were enqueued: continue with line 1001." in done.err
    assert len(queue.list_jobs(max_jobs=1_000)) == 1_000


def batches(*sizes: int) -> list[list[Line]]:
    """Return batches of lines that are numbered from 1."""
    numbers = iter(range(1, sum(sizes) + 1))
    return [[(next(numbers), NewJob("browser")) for _ in range(size)] for size in sizes]


@pytest.mark.parametrize(
    ("done", "message"),
    [
        ([], "0 of 5 jobs were enqueued: continue with line 1."),
        ([0, 1], "4 of 5 jobs were enqueued: continue with line 5."),
        ([0, 2], "3 of 5 jobs were enqueued, also those of lines 5 to 5: continue with line 3, without these lines."),
    ],
)
def test_the_lines_left_are_named(done: list[int], message: str) -> None:
    """A batch may be enqueued although the one before it failed, since two are sent at a time."""
    assert lines_left(batches(2, 2, 1), done) == message


def test_two_batches_are_sent_at_a_time_after_the_first() -> None:
    """The second is sent once the first has been enqueued, the third while the second is in progress."""
    events: list[str] = []
    third_began = threading.Event()
    lines = batches(2_500)[0]

    def enqueue(jobs: list[NewJob]) -> list[Enqueued]:
        number = next(n for n in range(3) if lines[1_000 * n][1] is jobs[0])
        events.append(f"began {number}")
        if number == 2:
            third_began.set()
        assert number != 1 or third_began.wait(30)
        events.append(f"ended {number}")
        return [Enqueued(UUID(int=number), created=True)] * len(jobs)

    found = list(enqueued_batches(enqueue, lines, 2, pytest.fail))
    assert [(one[0].job_id.int, len(one)) for one in found] == [(0, 1_000), (1, 1_000), (2, 500)]
    assert events[:2] == ["began 0", "ended 0"]
    assert events.index("began 2") < events.index("ended 1")  # their threads may begin in any order


def test_a_failure_waits_for_the_other_batch() -> None:
    """Its jobs are counted, and no further batch is sent."""
    failed = threading.Event()
    reported: list[str] = []
    lines = batches(5_000)[0]

    def enqueue(jobs: list[NewJob]) -> list[Enqueued]:
        if jobs[0] is lines[1_000][1]:
            failed.set()
            raise DatabaseUnavailable("The database cannot be reached.")
        assert jobs[0] is lines[0][1] or failed.wait(30)
        return [Enqueued(UUID(int=0), created=True)] * len(jobs)

    with pytest.raises(DatabaseUnavailable):
        list(enqueued_batches(enqueue, lines, 2, reported.append))
    enqueued = "2,000 of 5,000 jobs were enqueued, also those of lines 2001 to 3000"
    assert reported == [f"{enqueued}: continue with line 1001, without these lines."]


def test_the_first_line_of_an_idempotency_key_counts() -> None:
    """Batches with keys are sent one after another; others as far as there are connections."""
    plain = batches(2)[0]
    assert calls_at_once([*plain, (3, NewJob("browser", idempotency_key="k"))], 8) == 1
    assert [calls_at_once(plain, connections) for connections in (1, 2, 8)] == [1, 2, 2]
