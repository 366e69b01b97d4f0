"""`cogo watch`, `cogo open` and `cogo artifact`."""

from pathlib import Path

import httpx
import pytest

from cogo_dagster.bootstrap import open_application
from cogo_dagster.queue.artifacts import upload_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile, Job, JobError, Outcome
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.queue.steps import add, running_job, settle, take


def with_files(cogo: Terminal, queue: Queue, *names: str) -> Job:
    """Return a succeeded job with files."""
    job = running_job(queue, payload={"url": "https://shop.example/"})
    files = []
    for name in names:
        path = cogo.folder / f"made-{name}"
        path.write_bytes(f"content of {name}".encode())
        files.append(ArtifactFile(name, "text/plain", path))
    with open_application(load_settings(None, **cogo.environment)) as application:
        upload_artifacts(application.queue, application.store, job, files)
    settle(queue, job)
    return job


def test_watch_follows_a_job_to_its_end(cogo: Terminal, queue: Queue) -> None:
    """It prints a line for each status, and exits with 0 if the job succeeded."""
    job_id = add(queue, payload={"url": "https://shop.example/"})
    with cogo.start("watch", str(job_id)[-8:], "--interval", "0.05s") as process:
        assert process.popen.stdout
        queued = process.popen.stdout.readline()
        assert "queued" in queued
        assert "browser https://shop.example/" in queued
        [job] = take(queue)
        assert "running" in process.popen.stdout.readline()
        settle(queue, job)
        done = process.wait()
    assert done.code == 0
    assert "succeeded" in done.out


def test_watch_of_a_failed_job_exits_with_1(cogo: Terminal, queue: Queue) -> None:
    """The error is in the line, and in the document of `--json`."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=JobError("http_status", "No such page.", retryable=False))
    done = cogo.run("watch", str(job.id))
    assert done.code == 1
    assert "http_status: No such page." in done.out
    document = cogo.run("watch", str(job.id), "--json")
    assert document.code == 1
    assert (document.json["status"], document.json["error"]["class"]) == ("failed", "http_status")


def test_watch_ends_after_its_timeout(cogo: Terminal, queue: Queue) -> None:
    """A job that has not finished is reported, with exit code 1."""
    job_id = add(queue)
    done = cogo.run("watch", str(job_id), "--timeout", "0.1s", "--interval", "0.05s")
    assert done.code == 1
    assert f"Job {job_id} did not finish within 100 ms." in done.err


def test_open_prints_the_page_of_a_job(cogo: Terminal, queue: Queue) -> None:
    """The address is that of METRICS_BASE."""
    job_id = add(queue)
    base = {"METRICS_BASE": "https://ops.example"}
    assert cogo.run("open", str(job_id)[:8], "--print", **base).out == f"https://ops.example/dashboard/jobs/{job_id}\n"
    assert cogo.ok("open", str(job_id), **base)["opened"] is False


def test_artifacts_are_fetched(cogo: Terminal, queue: Queue) -> None:
    """All artifacts of a job into a folder, one into a file; an existing file is replaced."""
    job = with_files(cogo, queue, "a.txt", "b.txt")
    fetched = cogo.ok("artifact", "fetch", str(job.id)[-8:], "-o", "out/")
    assert {row["file"] for row in fetched} == {"out/a.txt", "out/b.txt"}
    assert (cogo.folder / "out" / "b.txt").read_text() == "content of b.txt"
    (cogo.folder / "mine").write_text("old")
    assert cogo.run("artifact", "fetch", str(job.id), "a.txt", "-o", "mine").code == 0
    assert (cogo.folder / "mine").read_text() == "content of a.txt"
    assert list(cogo.folder.glob(".*.part")) == []


def test_an_artifact_is_written_to_standard_output(cogo: Terminal, queue: Queue) -> None:
    """Its bytes are unchanged; several artifacts are rejected."""
    job = with_files(cogo, queue, "a.txt", "b.txt")
    with cogo.start("artifact", "fetch", str(job.id), "b.txt", "-o", "-") as process:
        assert process.wait().out == "content of b.txt"
    assert "name one of a.txt, b.txt" in cogo.run("artifact", "fetch", str(job.id), "-o", "-").err


def test_a_narrow_terminal_shows_the_ids_of_artifacts(cogo: Terminal, queue: Queue) -> None:
    """Addresses would be wider; the IDs, by attempt, are those that `cogo artifact` accepts. Files get addresses."""
    job = with_files(cogo, queue, "a.txt", "b.txt")
    narrow = {"COLUMNS": "80", "TTY_COMPATIBLE": "1", "NO_COLOR": "1"}
    for command in (("job", "show"), ("watch",)):
        lines = cogo.run(*command, str(job.id), **narrow).out.splitlines()
        listed = lines[-4:]
        assert max(map(len, listed[1:])) <= 80
        assert [line.split()[:2] for line in listed[1:3]] == [["1", "a.txt"], ["1", "b.txt"]]
        artifact_id = listed[2].split()[-1]
        [fetched] = cogo.ok("artifact", "fetch", artifact_id, "-o", "out/")
        assert fetched["file"] == "out/b.txt"
        path = cogo.run(*command, str(job.id)).out.splitlines()[-1].strip()
        assert Path(path).read_text() == "content of b.txt"


@pytest.mark.parametrize("way", ["postgres", "supabase"])
def test_artifacts_are_signed(cogo: Terminal, queue: Queue, way: str) -> None:
    """An object of Supabase Storage gets a URL for a limited time; a file of this machine is its path."""
    job = with_files(cogo, queue, "a.txt")
    [signed] = cogo.ok("artifact", "sign", str(job.id), "a.txt", "--for", "10m")
    if way == "supabase":
        assert httpx.get(signed["url"]).text == "content of a.txt"
        assert signed["expires_seconds"] == 600
    else:
        assert Path(signed["url"]).read_text() == "content of a.txt"
        assert signed["expires_seconds"] is None


@pytest.mark.parametrize(
    ("name", "message"),
    [("c.txt", "has no artifact 'c.txt': use one of a.txt"), (None, None)],
)
def test_an_unknown_artifact_is_explained(cogo: Terminal, queue: Queue, name: str | None, message: str | None) -> None:
    """The message lists the artifacts of the job."""
    job = with_files(cogo, queue, "a.txt") if name else running_job(queue)
    done = cogo.run("artifact", "fetch", str(job.id), *([name] if name else []))
    assert done.code == 1
    assert (message or "has no artifacts in the store") in done.err
