"""Runs of Dagster as Kubernetes jobs: the instance of the Helm chart, against a stand-in for the API."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
import yaml  # type: ignore[import-untyped]
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext, WorkerStatus

from cogo_dagster.dagster_support.storage_database import databases
from cogo_dagster.queue.client import Queue
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.cli.terminal import eventually
from cogo_dagster_tests.deploy.batch_api import BatchApi, batch_api
from cogo_dagster_tests.deploy.helm import LAUNCHER, of_kind, rendered
from cogo_dagster_tests.hosts.executor import write_entry_point
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.servers import TestServer


@dataclass
class Cluster:
    """Dagster's instance and the API that its launcher calls."""

    instance: dg.DagsterInstance
    api: BatchApi

    def launch(self) -> dg.DagsterRun:
        """Launch a run of `process_jobs` that ends when the queue is empty."""
        repository = ReconstructableRepository.for_module("cogo_dagster.definitions", "defs", str(PROJECT_ROOT))
        job = repository.get_reconstructable_job("process_jobs")
        config = {"ops": {"claim_jobs": {"config": {"linger_seconds": 0.0}}}}
        run = self.instance.create_run_for_job(
            job.get_definition(), run_config=config, job_code_origin=job.get_python_origin()
        )
        self.instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
        return run

    def until(self, run: dg.DagsterRun, status: dg.DagsterRunStatus) -> None:
        """Wait until a run has a status; the import of Dagster alone takes a second of the run."""
        found = self.instance.get_run_by_id
        eventually(lambda: (at := found(run.run_id)) and at.status is status, 90, every=0.25)


@pytest.fixture
def cluster(helm: Path, server: TestServer, dsn: str, tmp_path: Path) -> Iterator[Cluster]:
    """Open the instance of the chart, with the address of the stand-in."""
    with ExitStack() as stack:
        environment = {
            "COGO_DATABASE_URL": dsn,
            "DAGSTER_POSTGRES_URL": stack.enter_context(server.clone()),
            "DAGSTER_HOME": str(tmp_path),
            "COGO_HOME": str(tmp_path / "home"),
            "BROWSER_REAL_MODE": "false",
            "PYTHONPATH": f"{write_entry_point(tmp_path / 'plugins')}:{PROJECT_ROOT}",
        }
        api = stack.enter_context(batch_api(environment, Path(sys.executable).parent, tmp_path / "pods.log"))
        [instance] = [
            one for one in of_kind(rendered(helm, *LAUNCHER), "ConfigMap") if one["metadata"]["name"] == "cogo-instance"
        ]
        document = yaml.safe_load(instance["data"]["dagster.yaml"])
        address = {"load_incluster_config": False, "kubeconfig_file": str(api.kubeconfig(tmp_path))}
        document["run_launcher"]["config"] |= address
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(document))
        stack.callback(databases.close)
        stack.enter_context(mock.patch.dict(os.environ, environment))
        yield Cluster(stack.enter_context(dg.DagsterInstance.from_config(str(tmp_path))), api)


def test_a_run_is_executed_by_a_pod(cluster: Cluster, queue: Queue) -> None:
    """The API accepts the manifest of the run, whose command runs the jobs, and the run succeeds."""
    ids = [add(queue, "wait") for _ in range(3)]
    run = cluster.launch()
    cluster.until(run, dg.DagsterRunStatus.SUCCESS)
    assert {job.status for job in queue.get_jobs(ids)} == {"succeeded"}
    [manifest] = cluster.api.manifests.values()
    pod = manifest["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 25 + 30
    [container] = pod["containers"]
    assert container["securityContext"]["runAsUser"] == 10001
    assert [source["configMapRef"]["name"] for source in container["envFrom"] if "configMapRef" in source] == [
        "cogo-settings"
    ]


@pytest.mark.slow
def test_a_terminated_run_is_canceled(cluster: Cluster, queue: Queue) -> None:
    """The pod gets SIGTERM, and the attempt of its job is not counted."""
    job_id = add(queue, "wait", payload={"seconds": 60})
    run = cluster.launch()
    eventually(lambda: queue.get_jobs([job_id])[0].status == "running", 90)
    assert cluster.instance.run_launcher.terminate(run.run_id)
    cluster.until(run, dg.DagsterRunStatus.CANCELED)
    [job] = queue.get_jobs([job_id])
    assert (job.status, job.document["attempts"]) == ("queued", 0)


@pytest.mark.slow
def test_a_run_whose_pod_was_killed_is_reported(cluster: Cluster, queue: Queue) -> None:
    """Run monitoring fails the run."""
    add(queue, "wait", payload={"seconds": 60})
    run = cluster.launch()
    cluster.until(run, dg.DagsterRunStatus.STARTED)
    [process] = cluster.api.processes.values()
    process.kill()
    process.wait()
    found = cluster.instance.get_run_by_id(run.run_id)
    assert found
    assert cluster.instance.run_launcher.check_run_worker_health(found).status == WorkerStatus.FAILED
