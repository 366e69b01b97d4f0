"""Requests to the web server of the last release, run with its package: `older_web.py DSN FOLDER`.

It uses the names of that release, which may differ from those of this one.
"""

# It imports the code of the last release.
# mypy: ignore-errors

import re
import select
import sys
from uuid import UUID, uuid4

from starlette.testclient import TestClient

from cogo_dagster.queue.client import Ask, Queue, WorkerIdentity
from cogo_dagster.queue.model import JobError, NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import load_settings
from cogo_dagster.web.app import access_rules, create_app

_TOKEN = "0123456789abcdef" * 4
_PREPARED_AFTER = 4
"""The release prepares a statement that is executed for the fourth time."""

_NOT_PAGES = ("/static", "/traces", "/dashboard/live", "/api/artifacts/{artifact_id}/")
"""Files, and a stream without an end."""


def rows(queue: Queue) -> tuple[UUID, UUID, UUID]:
    """Add a queued and a dead-lettered job, a file and a worker; return the IDs of the jobs and of the file."""
    worker = WorkerIdentity("older", uuid4())
    queue.register_worker(
        worker, families=["browser"], concurrency=4, pid=1, code_version="1", heartbeat_seconds=10, device={}
    )
    queue.enqueue([NewJob("browser", {"url": "https://example.com"})])
    [job] = queue.claim(uuid4(), [Ask("browser", 1)], worker, lease_seconds=600)
    file = {"name": "a", "content_type": "text/plain", "size_bytes": 1, "sha256": "a" * 64, "extension": "txt"}
    [made] = queue.create_artifacts(job, [file])
    queue.finish_artifacts(job, [made.artifact_id])
    error = JobError("not_found", "There is no such page.", retryable=False)
    queue.settle([Settlement(job, Outcome.FAILED, error=error)])
    [queued] = queue.enqueue([NewJob("browser", {"url": "https://example.com"})])
    return queued.job_id, job.id, made.artifact_id


def visit(client: TestClient, paths: list[str], dead: UUID) -> None:
    """Request every page and endpoint, and act on rows as its buttons do."""
    for path in paths:
        response = client.get(path)
        assert response.status_code == 200, (path, response.status_code, response.text[:2000])
    actions = [
        ("/api/dlq/replay", {"job_ids": [str(dead)]}),
        ("/api/jobs/retry", {"job_ids": [str(dead)]}),
        ("/api/pause", {"kind": "type", "name": "figma"}),
        ("/api/resume", {"kind": "type", "name": "figma"}),
    ]
    for path, body in actions:
        response = client.post(path, json=body)
        assert response.status_code == 200, (path, response.status_code, response.text[:2000])


def main(dsn: str, folder: str) -> None:
    """Request everything, with statements prepared before, until a line on stdin; then once more."""
    transport = PostgresTransport(dsn, role="service_role", max_connections=1)
    queued, dead, artifact = rows(Queue(transport))
    transport.close()
    settings = load_settings(COGO_DATABASE_URL=dsn, COGO_HOME=folder, QUALITY_NOTIFY_ADMIN_TOKEN=_TOKEN)
    app = create_app(settings, keep_seconds=0)
    known = {"{job_id}": str(queued), "{artifact_id}": str(artifact)}
    found = [rule.removeprefix("GET ") for rule, _ in access_rules(app) if rule.startswith("GET ")]
    paths = [re.sub(r"{\w+}", lambda part: known[part[0]], path) for path in found if not path.startswith(_NOT_PAGES)]
    paths += [path.replace(str(queued), str(dead)) for path in paths if str(queued) in path]
    headers = {"x-admin-token": _TOKEN}
    with TestClient(app, base_url="http://127.0.0.1", headers=headers, raise_server_exceptions=False) as client:
        # Nothing to return: a job without a result, a week that is not stored.
        paths = [path for path in paths if client.get(path).status_code != 404]
        for _ in range(_PREPARED_AFTER):
            visit(client, paths, dead)
        print(f"ready {len(paths)}", flush=True)  # noqa: T201
        while not select.select([sys.stdin], [], [], 0)[0]:
            visit(client, paths, dead)
        visit(client, paths, dead)


if __name__ == "__main__":
    main(*sys.argv[1:])
