"""The output of Dagster's runs in object storage."""

from collections.abc import Iterator
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType

from cogo_dagster.dagster_support.instance import CogoComputeLogs
from cogo_dagster.dagster_support.remote_logs import RemoteComputeLogs
from cogo_dagster_tests.stores.s3_server import BUCKET, S3Server, s3_server

KEY = ["a-run", "compute_logs", "a-step"]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Start the server with the API of S3."""
    with s3_server() as server:
        server.reset()
        yield server


def manager(s3: S3Server, folder: Path) -> RemoteComputeLogs:
    """Return the manager of a machine with this folder."""
    files = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True, **s3.options())
    return RemoteComputeLogs(files, f"{BUCKET}/logs", folder)


def captured(logs: RemoteComputeLogs, key: list[str], text: str) -> None:
    """Capture the output of a step."""
    with logs.capture_logs(key):
        print(text)  # noqa: T201


def test_another_machine_shows_the_output_of_a_step(s3: S3Server, tmp_path: Path) -> None:
    """After its end the output is in the storage and no longer in the local folder."""
    captured(manager(s3, tmp_path / "worker"), KEY, "exported 12 frames")
    web = manager(s3, tmp_path / "web")
    assert web.is_capture_complete(KEY)
    assert web.get_log_data(KEY).stdout == b"exported 12 frames\n"
    assert web.get_log_metadata(KEY).stdout_location == f"s3://{BUCKET}/logs/a-run/compute_logs/a-step.out"
    assert web.get_log_keys_for_log_key_prefix(KEY[:2], ComputeIOType.STDOUT) == [KEY]
    assert not list((tmp_path / "worker").rglob("*.out"))
    web.delete_logs(prefix=["a-run"])
    assert not [name for name in s3.objects if name.startswith("logs/a-run")]


def test_an_unreachable_storage_fails_no_run(s3: S3Server, tmp_path: Path) -> None:
    """The output remains in the local folder."""
    key = ["another-run", *KEY[1:]]
    s3.error = "AccessDenied"
    try:
        captured(manager(s3, tmp_path), key, "kept here")
    finally:
        s3.error = None
    assert [path.read_text() for path in tmp_path.rglob("*.out")] == ["kept here\n"]


def test_the_setting_chooses_the_destination(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder, object storage, or by default a folder of COGO_HOME."""
    monkeypatch.setenv("COGO_HOME", str(tmp_path))
    assert isinstance(CogoComputeLogs.from_config_value(None, {}), CogoComputeLogs)
    monkeypatch.setenv("COGO_COMPUTE_LOGS_URL", "s3://logs/dagster")
    assert isinstance(CogoComputeLogs.from_config_value(None, {}), RemoteComputeLogs)
    monkeypatch.setenv("COGO_COMPUTE_LOGS_URL", f"file://{tmp_path}/shared")
    local = CogoComputeLogs.from_config_value(None, {})
    assert isinstance(local, CogoComputeLogs)
    path = local.get_captured_local_path(KEY, "out")
    assert path.startswith(f"{tmp_path}/shared/")
