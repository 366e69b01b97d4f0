"""Chooses the artifact store."""

from pathlib import Path
from typing import Any

from cogo_dagster.bootstrap.database import supabase_project
from cogo_dagster.queue.artifacts import ArtifactStore, FolderStore
from cogo_dagster.settings import Settings, SettingsError, StorageUrl


def artifact_store(settings: Settings) -> ArtifactStore:
    """Return the store of COGO_ARTIFACT_URL; if unset, Supabase Storage if configured, else a folder of COGO_HOME.

    Raises:
        SettingsError: A package for this kind of store is not installed.
    """
    if settings.artifact_url is not None:
        return _store_of(StorageUrl.from_text(settings.artifact_url), settings)
    if settings.supabase_url is None:
        return FolderStore(settings.home / "artifacts")
    from cogo_dagster.queue.supabase.store import SupabaseStore  # noqa: PLC0415 - imports an HTTP client

    return SupabaseStore(
        supabase_project(settings), settings.artifact_bucket, create_bucket=settings.artifact_bucket_create
    )


def _store_of(url: StorageUrl, settings: Settings) -> ArtifactStore:
    if url.scheme == "file":
        return FolderStore(Path(url.path))
    # The clients take seconds to import.
    from cogo_dagster.queue.artifacts.remote import RemoteObjects  # noqa: PLC0415
    from cogo_dagster.queue.artifacts.s3 import S3Objects  # noqa: PLC0415

    client = storage_client(url.scheme, settings)
    if url.scheme == "s3":
        return ArtifactStore(S3Objects(client, url.path))
    return ArtifactStore(RemoteObjects(client, url.scheme, url.path))


def storage_client(scheme: str, settings: Settings) -> Any:
    """Return the fsspec file system for a kind of object storage, with the credentials of the settings.

    Raises:
        SettingsError: The client's package is not installed.
    """
    from cogo_dagster.queue.artifacts.remote import ObjectStorageMissing, file_system  # noqa: PLC0415

    try:
        return file_system(scheme, _credentials(scheme, settings))
    except ObjectStorageMissing as error:
        raise SettingsError(str(error)) from None


def _credentials(scheme: str, settings: Settings) -> dict[str, Any]:
    """Return the credentials of the settings as options of fsspec's file system; what is not set is left out.

    The clients search the environment themselves, but not the file `.env`.
    """
    secret, token, connection = (
        value.get_secret_value() if value else None
        for value in (settings.aws_secret_access_key, settings.aws_session_token, settings.azure_connection_string)
    )
    region = {"region_name": settings.aws_region} if settings.aws_region else None
    options: dict[str, dict[str, Any]] = {
        "s3": {
            "key": settings.aws_access_key_id,
            "secret": secret,
            "token": token,
            "endpoint_url": settings.aws_endpoint_url,
            "client_kwargs": region,
        },
        "gs": {"token": settings.google_application_credentials and str(settings.google_application_credentials)},
        "az": {"connection_string": connection},
    }
    return {name: value for name, value in options[scheme].items() if value}
