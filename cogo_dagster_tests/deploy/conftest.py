"""Fixtures: the program Helm."""

from pathlib import Path

import pytest

from cogo_dagster_tests.deploy.helm import install_helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program Helm."""
    return install_helm(tmp_path_factory.mktemp("helm"))
