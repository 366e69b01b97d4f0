"""The services of deploy/celery on three hosts: Redis, code server and daemon on A, Celery workers on B and C."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import dagster as dg
import yaml  # type: ignore[import-untyped]
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext

from cogo_dagster.dagster_support.storage_database import databases
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.hosts.network import Host
from cogo_dagster_tests.hosts.world import World
from cogo_dagster_tests.programs import required

HOME: Final = PROJECT_ROOT / "deploy" / "celery"
_REDIS_PORT: Final = 6379
_CODE_PORT: Final = 4000


@dataclass
class CelerySite:
    """Dagster with runs by Celery.

    Attributes:
        instance: Dagster's instance. This thread is in the network of host A.
    """

    world: World
    instance: dg.DagsterInstance

    def start_celery(self, host: Host) -> None:
        """Start a Celery worker that runs one run at a time, and wait until it is connected."""
        log = self.world.folder / f"{host.name}.log"
        ready = _times(log, " ready.")
        options = ["--queues", "dagster", "--concurrency", "1", "--hostname", f"cogo@{host.name}"]
        self.world.start(host, "celery", "--app", "dagster_celery.app", "worker", *options, WORKER_ID=host.name)
        self.world.until(lambda: _times(log, " ready.") > ready, f"a Celery worker on {host.name}")

    def runs(self, status: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        """Return the runs of `process_jobs` with a status."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name="process_jobs", statuses=[status])))

    def run_of(self, host: Host) -> str:
        """Return the run whose worker is alive on a host; empty if there is none."""
        row = self.world.owner.execute(
            "select dagster_run_id from public.workers where worker_id = %s and stopped_at is null"
            " and last_heartbeat_at > clock_timestamp() - interval '30 seconds' order by started_at desc limit 1",
            [host.name],
        ).fetchone()
        return str(row["dagster_run_id"]) if row else ""

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        """Return the status of a run."""
        run = self.instance.get_run_by_id(run_id)
        assert run
        return run.status

    def launch(self, linger_seconds: float) -> str:
        """Launch a run of `process_jobs`; return its ID."""
        repository = ReconstructableRepository.for_module("cogo_dagster.definitions", "defs", str(PROJECT_ROOT))
        job = repository.get_reconstructable_job("process_jobs")
        config = {"ops": {"claim_jobs": {"config": {"linger_seconds": linger_seconds}}}}
        run = self.instance.create_run_for_job(
            job.get_definition(), run_config=config, job_code_origin=job.get_python_origin()
        )
        self.instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
        return run.run_id

    def working(self) -> int:
        """Return the number of runs whose worker is registered."""
        return self.world.count(
            "select count(*) as n from public.workers where dagster_run_id is not null and stopped_at is null"
        )

    def terminate(self, run_id: str) -> bool:
        """Terminate a run as the UI does."""
        return self.instance.run_launcher.terminate(run_id)


@contextmanager
def celery_site(world: World, *, daemon: bool = True) -> Iterator[CelerySite]:
    """Start the services on A, without Celery workers."""
    [redis] = required("redis-server")
    url = f"redis://{world.a.address}:{_REDIS_PORT}"
    world.environment |= {
        "CELERY_BROKER_URL": f"{url}/0",
        "CELERY_RESULT_BACKEND": f"{url}/1",
        "DAGSTER_HOME": str(HOME),
        "PYTHONPATH": f"{world.environment['PYTHONPATH']}:{HOME}",
    }
    with (world.folder / "redis.log").open("ab") as output:
        options = ["--bind", world.a.address, "--protected-mode", "no", "--save", ""]
        world.a.start([redis, "--dir", world.folder, "--port", str(_REDIS_PORT), *options], world.environment, output)
    workspace = world.folder / "workspace.yaml"
    server = {"host": world.a.address, "port": _CODE_PORT, "location_name": "cogo"}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    if daemon:
        where = ["--host", world.a.address, "--port", str(_CODE_PORT)]
        world.start(world.a, "dagster", "api", "grpc", *where, "--module-name", "cogo_dagster.definitions")
        world.start(world.a, "dagster-daemon", "run", "--workspace", str(workspace))
    with ExitStack() as stack:
        stack.callback(databases.close)
        stack.enter_context(mock.patch.dict(os.environ, world.environment))
        stack.enter_context(world.a.entered())
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(HOME)))
        yield CelerySite(world, instance)


def _times(path: Path, text: str) -> int:
    return path.read_text(errors="replace").count(text) if path.exists() else 0
