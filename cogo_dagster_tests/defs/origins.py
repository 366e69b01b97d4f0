"""Origins of jobs and sensors in Dagster's records."""

from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

_REPOSITORY = RemoteRepositoryOrigin(
    ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="cogo_dagster.definitions"), "cogo"),
    "__repository__",
)


def of_job(name: str) -> RemoteJobOrigin:
    """Return the origin of a Dagster job; queued runs need one."""
    return RemoteJobOrigin(_REPOSITORY, name)


def of_sensor(name: str) -> RemoteInstigatorOrigin:
    """Return the origin of a sensor."""
    return RemoteInstigatorOrigin(_REPOSITORY, name)
