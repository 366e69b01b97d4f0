"""The Compose file and the image."""

import json
import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from check_jsonschema import main  # type: ignore[import-untyped]
from click.testing import CliRunner

from cogo_dagster.settings import PROJECT_ROOT, Settings

DEPLOY = PROJECT_ROOT / "deploy"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Read the Compose file."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


def test_the_file_fits_the_specification() -> None:
    """Every key and value is known to the Compose Specification."""
    done = CliRunner().invoke(main, ["--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")])
    assert done.exit_code == 0, done.output


def test_every_service_waits_for_the_migration(compose: dict[str, Any]) -> None:
    """No process starts on a database of an earlier release."""
    for name, service in compose["services"].items():
        if name not in ("postgres", "migrate", "s3", "buckets"):
            assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}, name
    assert compose["services"]["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_only_loopback_addresses_are_published(compose: dict[str, Any]) -> None:
    """The Dagster UI has no login, and the dashboard's is not encrypted."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_object_storage_is_optional(compose: dict[str, Any]) -> None:
    """It has a profile, its buckets are those that the file names, and without it the store is a volume."""
    services = compose["services"]
    assert [name for name, service in services.items() if "profiles" in service] == ["s3", "buckets"]
    comment = (DEPLOY / "compose.yaml").read_text().partition("name: cogo")[0]
    for bucket in re.findall(r"s3://([a-z-]+)", comment):
        assert f"-name {bucket}" in services["buckets"]["command"][0]
    assert ":-file:///" in services["worker"]["environment"]["COGO_ARTIFACT_URL"]
    assert json.loads(compose["configs"]["s3"]["content"])["identities"]


def test_the_settings_exist(compose: dict[str, Any]) -> None:
    """Each variable is a setting."""
    known = {field.alias for field in Settings.model_fields.values()}
    assert set(compose["services"]["worker"]["environment"]) <= known


def test_the_image_copies_files_that_exist() -> None:
    """The paths of COPY are in the repository, and the image does not run as root."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert [path for path in copied if not (PROJECT_ROOT / path).exists()] == []
    assert [line for line in lines if re.match("USER ", line)] == ["USER cogo"]
