"""Stores chosen by the settings, and the command that adopts one."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from cogo_dagster.bootstrap import open_application
from cogo_dagster.queue.artifacts import sweep_artifacts, sweep_unknown_objects
from cogo_dagster.queue.client import Queue
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.cli.terminal import terminal
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.stores.place import read, upload

UNSET: dict[str, Any] = dict.fromkeys(("COGO_DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"), "")


def test_a_command_adopts_a_store(dsn: str, queue: Queue, owner: Owner, tmp_path: Path) -> None:
    """While the marker does not match, nothing is deleted, and the error names the command."""
    cogo = terminal(tmp_path, dsn, {})
    with open_application(load_settings(**{**UNSET, **cogo.environment})) as application:
        address = Path(application.store.address(upload(queue, application.store, tmp_path, "hello")))
    owner.execute("update public.artifacts set created_at = now() - interval '1 hour'")
    [marker] = Path(cogo.environment["COGO_HOME"]).rglob("cogo/deployment")
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"marker": str(uuid4())}))
    rejected = cogo.run("cleanup", "artifacts", "--ttl-days", "0")
    assert (rejected.code, "--adopt-store" in rejected.err) == (1, True)
    assert address.read_text() == "hello"
    assert "artifacts" in cogo.ok("cleanup", "artifacts", "--adopt-store")["adopted"]
    assert "belongs to this database now" in cogo.run("cleanup", "artifacts", "--adopt-store").out
    cogo.ok("cleanup", "artifacts", "--ttl-days", "0")
    assert not address.exists()


def test_the_demo_database_and_another_one_keep_their_files(dsn: str, tmp_path: Path) -> None:
    """With one COGO_HOME, in the order of the README, each database can read its files after both have swept."""
    kept: dict[str, tuple[str, str]] = {}
    orders = (("", "demo"), (dsn, "mine"), ("", "demo again"), (dsn, "mine again"))
    for database_url, text in orders:
        given = UNSET | {"COGO_HOME": str(tmp_path / "home"), "COGO_DATABASE_URL": database_url}
        with open_application(load_settings(**given), keep_database=text == "demo") as application:
            kept[text] = database_url, upload(application.queue, application.store, tmp_path, text)
            for path in (tmp_path / "home" / "artifacts").rglob("*"):
                os.utime(path, (0, 0))
            assert sweep_unknown_objects(application.queue, application.store) == 0
            assert sweep_artifacts(application.queue, application.store, grace_seconds=0) == 0
            for stored_text, (url, key) in kept.items():
                if url == database_url:
                    assert read(application.store, key) == stored_text
                    assert Path(application.store.address(key)).read_text() == stored_text
    files = [path.read_text() for path in (tmp_path / "home" / "artifacts").rglob("*.txt")]
    assert sorted(files) == sorted(kept)
