"""Jobs run from other Dagster code: the resource, the component, and the example projects."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from uuid import UUID

import dagster as dg
import pytest
from dagster.components.core.package_entry import discover_entry_point_package_objects
from dagster_shared.serdes.objects import EnvRegistryKey

import cogo_dagster
from cogo_dagster.bootstrap import open_application, worker_options
from cogo_dagster.dagster_support.browser_job import BrowserJob
from cogo_dagster.dagster_support.cogo_queue import CogoQueue
from cogo_dagster.dagster_support.worker_thread import WorkerThread
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, NewJob
from cogo_dagster.queue.worker import EventObserver
from cogo_dagster.settings import PROJECT_ROOT, is_root, load_settings
from cogo_dagster_tests.defs.conftest import Installed
from cogo_dagster_tests.executors.site import Site, serving
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.worker.executors import FakeExecutor

EXAMPLES = PROJECT_ROOT / "examples"


@pytest.fixture
def given(settings: dict[str, str], queue: Queue, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the test's settings in the environment, where code of other projects reads them."""
    del queue  # requested so that its connections are counted after the ones here are closed
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


@contextmanager
def working() -> Iterator[None]:
    """Run a worker in a thread, as `cogo worker` does."""
    engine = WorkerThread()
    with open_application(load_settings()) as application:
        engine.start(
            application.worker(observer=EventObserver(engine.observe), options=worker_options(load_settings()))
        )
        try:
            yield
        finally:
            engine.stop_now()


@pytest.fixture
def site(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve pages for the browser."""
    del given
    with serving() as site:
        monkeypatch.setenv("BROWSER_ALLOWED_HOSTS", site.authority)
        monkeypatch.setenv("NO_SANDBOX", str(is_root()).lower())
        yield site


@pytest.fixture
def load_example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], dg.Definitions]]:
    """Return a function that loads an example project, as `dg` does."""
    loaded: list[str] = []

    def load(name: str) -> dg.Definitions:
        monkeypatch.syspath_prepend(EXAMPLES / name)
        loaded.append(name)
        definitions: dg.Definitions = import_module(f"{name}.definitions").defs()
        dg.Definitions.validate_loadable(definitions)
        return definitions

    yield load
    for module in [one for one in sys.modules if one.partition(".")[0] in loaded]:
        del sys.modules[module]


def metadata_of(result: dg.ExecuteInProcessResult, key: str) -> dict[str, dg.MetadataValue]:
    """Return the metadata of an asset's materialization."""
    [event] = [one for one in result.get_asset_materialization_events() if one.asset_key == dg.AssetKey(key.split("/"))]
    return dict(event.materialization.metadata)


@pytest.fixture
def worker(site: Site) -> Iterator[None]:
    """Run a worker that may open the site."""
    del site  # requested for its settings
    with working():
        yield


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("worker")
def test_the_examples_run_browser_jobs(
    load_example: Callable[[str], dg.Definitions],
    site: Site,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An asset of another project gets the result of a browser job; a component's schedule launches a run with one.

    The metadata of both has the artifacts. One worker executes both jobs, in one browser.
    """
    definitions = load_example("queue_resource")
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, run_config={"ops": {"title": {"config": {"url": site.url()}}}}
    )
    assert (result.output_for_node("title"), result.output_for_node("title_length")) == ("by script", 9)
    shown = metadata_of(result, "title")
    assert isinstance(shown["screenshot.png"], dg.PathMetadataValue)
    assert Path(shown["screenshot.png"].path or "").read_bytes().startswith(b"\x89PNG")
    assert f"[screenshot.png]({shown['screenshot.png'].path})" in str(shown["artifacts"].value)
    assert shown["attempts"].value == 1
    assert shown["job"].value == f"cogo job show {shown['job_id'].value}"

    monkeypatch.setenv("SITE_URL", site.url())
    monkeypatch.setenv("METRICS_BASE", "https://cogo.example.com")
    definitions = load_example("browser_job")
    schedule = definitions.resolve_schedule_def("site__front_page_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Europe/Berlin")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    result = definitions.resolve_job_def(schedule.job_name).execute_in_process(instance=instance)
    shown = metadata_of(result, "site/front_page")
    assert shown["result"].value["extracted"] == {"title": "by script"}  # type: ignore[index,call-overload]
    assert {"screenshot.png", "page.html", "page.pdf", "extracted.json"} <= set(shown)
    assert str(shown["page.pdf"].value).startswith("https://cogo.example.com/api/artifacts/")
    assert str(shown["job"].value).startswith("https://cogo.example.com/dashboard/jobs/")
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["site", "front_page"]))
    assert (node.group_name, node.owners, node.kinds) == ("example", ["team:web"], {"html"})


def test_an_invalid_payload_in_yaml_is_found_at_load() -> None:
    """Loading the component validates the payload as the browser executor does."""
    wrong = BrowserJob(asset="a/b", url="https://example.com", actions=[{"do": "clik", "selector": "#go"}])
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"^BrowserJob a/b: .*actions.*'clik'"):
        wrong.build_defs(dg.ComponentTree.for_test().load_context)


def test_dg_finds_the_component_by_its_public_name() -> None:
    """`dg list components` shows the component under the name used in YAML."""
    assert discover_entry_point_package_objects()[EnvRegistryKey("cogo_dagster", "BrowserJob")] is BrowserJob
    assert cogo_dagster.CogoQueue is CogoQueue


async def fail(job: Job, workspace: Workspace) -> ExecutionResult:
    """Fail permanently."""
    raise ExecutionFailed("The page is gone.", error_class="http_404", retryable=False)


def run_an_asset(instance: dg.DagsterInstance, job: NewJob, seconds: float = 60) -> dg.ExecuteInProcessResult:
    """Materialize an asset that runs one job."""

    @dg.asset
    def one(context: dg.AssetExecutionContext, cogo_queue: CogoQueue) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata=cogo_queue.run(job, context, timeout_seconds=seconds).metadata)

    return dg.materialize([one], instance=instance, resources={"cogo_queue": CogoQueue()}, raise_on_error=False)


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """Return the error message of a failed run."""
    [event] = [one for one in result.all_events if one.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return (error.cause or error).message if "Failure" not in error.message else error.message


@pytest.mark.usefixtures("given")
def test_a_failed_job_fails_the_run_with_its_error(install: Installed, instance: dg.DagsterInstance) -> None:
    """The run's error has the class and the message of the job's error, and its metadata links the job."""
    install(FakeExecutor(fail, family="shop"))
    with working():
        result = run_an_asset(instance, NewJob("shop", {}))
    assert not result.success
    assert "is failed after 1 attempt: http_404: The page is gone." in failure_of(result)
    [event] = [one for one in result.all_events if one.is_step_failure]
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert set(failure.metadata) == {"job", "job_id", "error"}


def only_job(queue: Queue) -> UUID:
    """Return the id of the only job."""
    [row] = queue.list_jobs()
    return row.id


@pytest.mark.usefixtures("given")
def test_a_timeout_cancels_the_job(queue: Queue, instance: dg.DagsterInstance) -> None:
    """Without a worker, the run fails after the timeout with a hint, and the job is cancelled."""
    result = run_an_asset(instance, NewJob("shop", {}), 0.3)
    assert "did not finish within 0.3 s and was cancelled. Check that a worker serves its type" in failure_of(result)
    assert look(queue, only_job(queue))["status"] == "cancelled"


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize(("key", "status"), [(None, "cancelled"), ("shared", "queued")])
def test_a_terminated_run_cancels_only_its_own_job(
    queue: Queue,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    status: str,
) -> None:
    """If Dagster interrupts the wait, the job is cancelled unless another caller had enqueued it."""
    if key:
        add(queue, "shop", idempotency_key=key)

    def interrupted(_: float) -> None:
        raise dg.DagsterExecutionInterruptedError

    monkeypatch.setattr("cogo_dagster.dagster_support.cogo_queue.sleep", interrupted)
    assert not run_an_asset(instance, NewJob("shop", {}, idempotency_key=key)).success
    assert look(queue, only_job(queue))["status"] == status


@pytest.mark.usefixtures("given")
def test_an_invalid_payload_is_not_enqueued(queue: Queue, instance: dg.DagsterInstance) -> None:
    """The asset fails at once with InvalidPayload."""
    result = run_an_asset(instance, NewJob("browser", {"url": "ftp://example.com"}))
    assert InvalidPayload.__name__ in failure_of(result)
    assert queue.list_jobs() == []
