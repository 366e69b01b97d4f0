"""The Helm chart, rendered by Helm and validated without a cluster."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import psycopg
import pytest
import yaml  # type: ignore[import-untyped]

from cogo_dagster.queue.client import Queue
from cogo_dagster.settings import PROJECT_ROOT, Settings
from cogo_dagster_tests.deploy.helm import CHART, LAUNCHER, VERSION, of_kind, rendered
from cogo_dagster_tests.npm import npm_package
from cogo_dagster_tests.programs import required
from cogo_dagster_tests.queue.steps import add


def pods(manifests: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pod specifications by the name of their owner."""
    owners = [*of_kind(manifests, "Deployment"), *of_kind(manifests, "Job")]
    return {owner["metadata"]["name"]: owner["spec"]["template"]["spec"] for owner in owners}


def test_helm_accepts_the_chart(helm: Path) -> None:
    """`helm lint` finds no error and no warning."""
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "options",
    [(), ("--set", "keda.enabled=true"), ("--set", "dagster.enabled=false"), LAUNCHER],
    ids=["", "keda", "no dagster", "launcher"],
)
def test_manifests_fit_the_schemas_of_kubernetes(helm: Path, options: tuple[str, ...]) -> None:
    """Every field of every manifest is known and has a valid value."""
    manifests = rendered(helm, *options)
    assert {"Deployment", "Job", "Service"} <= {manifest["kind"] for manifest in manifests}
    for manifest in manifests:
        if manifest["apiVersion"].startswith("keda.sh/"):
            assert errors_of_keda(manifest) == []
        else:
            kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_a_misspelt_field_is_found(helm: Path) -> None:
    """The validation of manifests detects what it is for."""
    [worker, *_] = of_kind(rendered(helm), "Deployment")
    worker["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(worker, VERSION, strict=True)


def errors_of_keda(manifest: dict[str, Any]) -> list[Any]:
    """Return the errors that the schema of a custom resource of KEDA finds."""
    module = npm_package("@kubernetes-models/keda") / "_schemas" / f"KedaShV1alpha1{manifest['kind']}.js"
    [node] = required("node")
    code = (
        f"const {{ validate }} = require({json.dumps(str(module))});"
        f"console.log(JSON.stringify(validate({json.dumps(manifest)}) ? [] : validate.errors))"
    )
    done = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    errors: list[Any] = json.loads(done.stdout)
    return errors


def test_workers_are_scaled_by_the_length_of_the_queue(helm: Path, queue: Queue, dsn: str) -> None:
    """The query of the trigger is valid SQL and counts the due jobs."""
    manifests = rendered(helm, "--set", "keda.enabled=true")
    [scaled] = of_kind(manifests, "ScaledObject")
    assert errors_of_keda(scaled | {"spec": scaled["spec"] | {"minReplicaCount": "one"}})
    [trigger] = scaled["spec"]["triggers"]
    for _ in range(3):
        add(queue)
    with psycopg.connect(dsn) as connection:
        assert connection.execute(trigger["metadata"]["query"]).fetchone() == (3,)
    assert int(trigger["metadata"]["targetQueryValue"]) > 0
    [worker] = [
        one
        for one in of_kind(rendered(helm, "--set", "keda.enabled=true"), "Deployment")
        if "worker" in one["metadata"]["name"]
    ]
    assert "replicas" not in worker["spec"]


def test_pods_do_not_run_as_root_and_have_time_to_stop(helm: Path) -> None:
    """Every container runs as an ordinary user; a worker has its grace period and 30 seconds."""
    found = pods(rendered(helm))
    for pod in found.values():
        for container in pod["containers"]:
            assert container["securityContext"]["runAsNonRoot"] is True
            assert container["securityContext"]["runAsUser"] == 10001
    assert found["cogo-worker"]["terminationGracePeriodSeconds"] >= 25 + 30


def test_there_is_one_daemon(helm: Path) -> None:
    """Two daemons would evaluate each schedule twice, also during an update."""
    [daemon] = [one for one in of_kind(rendered(helm), "Deployment") if one["metadata"]["name"] == "cogo-daemon"]
    assert (daemon["spec"]["replicas"], daemon["spec"]["strategy"]["type"]) == (1, "Recreate")


def test_the_launcher_has_the_instance_of_the_project(helm: Path) -> None:
    """The chart contains a copy of dagster.yaml, because Helm reads only files of the chart."""
    assert (CHART / "files" / "dagster.yaml").read_text() == (PROJECT_ROOT / "dagster.yaml").read_text()
    manifests = rendered(helm, *LAUNCHER)
    [instance] = [one for one in of_kind(manifests, "ConfigMap") if one["metadata"]["name"] == "cogo-instance"]
    document = yaml.safe_load(instance["data"]["dagster.yaml"])
    assert document.pop("run_launcher")["class"] == "K8sRunLauncher"
    assert document == yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    for name in ("cogo-code", "cogo-daemon", "cogo-webserver"):
        assert pods(manifests)[name]["serviceAccountName"] == "cogo-launcher"


def test_the_settings_exist(helm: Path) -> None:
    """Each value in `settings` is a setting."""
    settings = next(one for one in of_kind(rendered(helm), "ConfigMap") if one["metadata"]["name"] == "cogo-settings")
    assert set(settings["data"]) <= {field.alias for field in Settings.model_fields.values()}
