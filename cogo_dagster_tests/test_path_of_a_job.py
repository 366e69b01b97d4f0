"""The number of modules that a job passes from `cogo enqueue browser` to its artifact's row.

A module counts if one of its functions is called with the job: its payload or the payload's URL, its ID, a record or
document that contains one of them, or its artifact. Functions run in other threads count too.
Not counted: `text`, `redaction`, `decoded_views`, `net` and `queue.ids`, which handle any text, URL and ID; events for
the observer, which this worker does not have; and what is not on the path itself, such as settings, the start of the
database and of the browser, and logging.
"""

import dataclasses
import re
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

import cogo_dagster
from cogo_dagster.bootstrap import open_application, worker_options
from cogo_dagster.queue.artifacts.files import CheckedArtifact, LocalFile
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster.queue.worker import run_worker
from cogo_dagster.settings import PROJECT_ROOT, is_root, load_settings
from cogo_dagster_tests.cli.terminal import terminal
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.executors.site import serving

MAX_MODULES: Final = 25
_PACKAGE: Final = f"{Path(cogo_dagster.__file__).parent}/"
_KNOW_NO_JOB: Final = (
    "text.py", "redaction.py", "decoded_views.py", "net/", "queue/ids.py", "queue/worker/events.py",
    "executors/browser/transport.py",
)  # fmt: skip
_DEPTH: Final = 5
_VARIADIC: Final = 0x04, 0x08


def test_a_job_passes_few_modules_and_the_page_lists_them(tmp_path: Path, dsn: str, owner: Owner) -> None:
    """There are at most 25, which docs/architecture.md lists."""
    marks: set[str] = set()
    with serving() as site:
        marks.add(address := site.url("/").replace("http:", "HTTP:"))  # as given; the browser normalises it
        environment = {"NO_SANDBOX": str(is_root()).lower(), "BROWSER_ALLOWED_HOSTS": site.authority}
        cogo = terminal(tmp_path, dsn, environment)
        with traced(marks) as passed:
            answer = cogo.run("enqueue", "browser", "--url", address)
        [job_id] = re.findall(r"job ([0-9a-f-]{36})", answer.out)
        marks.add(job_id)
        settings = load_settings(tmp_path / "none", COGO_DATABASE_URL=dsn, COGO_HOME=str(tmp_path), **environment)
        with open_application(settings) as application:
            worker = application.worker(
                executors=[application.executor("browser")],
                options=dataclasses.replace(worker_options(settings), max_jobs=1),
            )
            with traced(marks) as then_passed:
                assert run_worker(worker).counters["succeeded"] == 1
    rows = owner.execute("select name from public.artifacts where job_id = %s and status = 'ready'", (job_id,))
    assert {name for (name,) in rows} == {"page.html", "screenshot.png"}
    found = sorted(passed | then_passed)
    assert len(found) <= MAX_MODULES, "\n".join(found)
    assert found == listed(), "\n".join(found)


def listed() -> list[str]:
    """Return the modules listed on the page."""
    text = (PROJECT_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.split("<!-- the modules a job passes -->\n\n```text\n")[1].split("```")[0]
    return sorted(word for line in block.splitlines() for word in line.split() if word.endswith(".py"))


@contextmanager
def traced(marks: Collection[str]) -> Iterator[set[str]]:
    """Collect the modules whose functions are called with an object that contains a mark, in all threads."""
    passed: set[str] = set()

    def look(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(_PACKAGE):
            return
        module = code.co_filename.removeprefix(_PACKAGE)
        if module in passed or module.startswith(_KNOW_NO_JOB):
            return
        if any(_holds(value, marks) for value in _arguments(frame, code)):
            passed.add(module)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield passed
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _arguments(frame: FrameType, code: CodeType) -> list[Any]:
    count = code.co_argcount + code.co_kwonlyargcount + sum(bool(code.co_flags & flag) for flag in _VARIADIC)
    values = frame.f_locals
    return [values[name] for name in code.co_varnames[:count] if name in values and name not in ("self", "cls")]


def _holds(value: Any, marks: Collection[str], depth: int = 0) -> bool:
    if isinstance(value, ArtifactFile | CheckedArtifact | LocalFile):
        return True
    if isinstance(value, str | UUID):
        return any(mark in str(value) for mark in marks)
    return depth < _DEPTH and any(_holds(one, marks, depth + 1) for one in _parts(value))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, BaseModel):
        return [one for _, one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return []
