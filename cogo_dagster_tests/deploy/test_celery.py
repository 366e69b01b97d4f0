"""The files for runs by Celery."""

import os
import subprocess
import sys
from unittest import mock

import pytest
import yaml  # type: ignore[import-untyped]
from dagster._core.instance.ref import InstanceRef
from dagster_celery.launcher import CeleryRunLauncher

from cogo_dagster.dagster_support.run_launcher import CancelingRunLauncher
from cogo_dagster.settings import PROJECT_ROOT

CELERY = PROJECT_ROOT / "deploy" / "celery"
REDIS = {"CELERY_BROKER_URL": "redis://127.0.0.1/0", "CELERY_RESULT_BACKEND": "redis://127.0.0.1/1"}


def test_the_instance_differs_in_the_launcher_only() -> None:
    """Except for the launcher and the number of runs, dagster.yaml is that of the project."""
    own, common = (yaml.safe_load((folder / "dagster.yaml").read_text()) for folder in (CELERY, PROJECT_ROOT))
    del own["run_launcher"]
    own["concurrency"]["runs"]["max_concurrent_runs"] = common["concurrency"]["runs"]["max_concurrent_runs"]
    assert own == common


def test_the_launcher_uses_redis() -> None:
    """The broker and the result backend are those of the environment, and terminations are reported."""
    with mock.patch.dict(os.environ, REDIS):
        launcher = InstanceRef.from_dir(str(CELERY)).run_launcher
    assert isinstance(launcher, CancelingRunLauncher)
    assert isinstance(launcher._launcher, CeleryRunLauncher)
    assert (launcher._launcher.broker, launcher._launcher.backend) == tuple(REDIS.values())


@pytest.mark.parametrize("missing", ["COGO_DATABASE_URL", "DAGSTER_POSTGRES_URL"])
def test_a_celery_worker_requires_the_databases_of_the_other_machine(missing: str) -> None:
    """Its own embedded database has neither the runs nor the jobs; the message names the settings."""
    databases = dict.fromkeys(("COGO_DATABASE_URL", "DAGSTER_POSTGRES_URL"), "postgresql://a/b")
    environment = {**os.environ, **REDIS, **databases, "SUPABASE_URL": "", missing: "", "PYTHONPATH": str(CELERY)}
    command = [sys.executable, "-c", "import dagster_celery_config"]
    done = subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DAGSTER_POSTGRES_URL to the databases of that machine" in done.stderr
