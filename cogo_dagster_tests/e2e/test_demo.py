"""`cogo demo`: from an empty folder to screenshots on disk, through Dagster."""

import hashlib
from pathlib import Path

import psycopg
import pytest

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster_tests.e2e.system import Home
from cogo_dagster_tests.executors.site import Site

pytestmark = pytest.mark.e2e

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_demo_leaves_what_it_reports(home: Home) -> None:
    """It exits with 0, the files match their rows, the run is in Dagster's storage, and no process is left."""
    answer = home.cogo("demo", "--json")

    assert answer.code == 0, answer.err
    document = answer.json
    assert document.keys() == {"jobs", "dagster_run_id", "database_url"}
    assert document["database_url"].startswith("postgresql://cogo@127.0.0.1:")
    assert len(document["jobs"]) >= 2
    for job in document["jobs"]:
        assert (job["status"], job["attempts"], job["type"].partition(".")[0]) == ("succeeded", 1, "browser")
        assert job["id"]
        for artifact in job["artifacts"]:
            content = Path(artifact["path"]).read_bytes()
            assert len(content) == artifact["size_bytes"]
            assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
        [screenshot] = [artifact for artifact in job["artifacts"] if artifact["content_type"] == "image/png"]
        assert Path(screenshot["path"]).read_bytes().startswith(PNG)
    assert any(
        artifact["content_type"] == "application/pdf" for job in document["jobs"] for artifact in job["artifacts"]
    )

    assert home.processes() == []
    server = EmbeddedServer(home.folder)
    assert not server.status().running
    with server.running(), psycopg.connect(server.dsn("dagster")) as connection:
        run_id = document["dagster_run_id"]
        [run] = connection.execute("select pipeline_name, status from runs where run_id = %s", (run_id,)).fetchall()
        assert run == ("process_jobs", "SUCCESS")
        query = "select step_key from event_logs where run_id = %s and dagster_event_type = 'STEP_SUCCESS' order by id"
        steps = [step for (step,) in connection.execute(query, (run_id,)).fetchall()]
        assert steps == ["claim_jobs", "execute_jobs", "upload_artifacts"]


def test_the_demo_of_a_broken_page_fails_with_a_message(home: Home, site: Site) -> None:
    """If a page returns 500, the demo exits with 1, and its last line names the page and the status."""
    answer = home.cogo("demo", "--url", site.url("/status/500"))
    assert answer.code == 1
    last = answer.err.strip().splitlines()[-1]
    assert "1 of 1 job did not succeed" in last
    assert site.url("/status/500") in last
    assert "responded with 500." in last
    assert "Traceback" not in answer.err
