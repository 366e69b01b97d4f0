"""The script of the workflow, run in Node.js with Octokit against the stand-in for GitHub."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from cogo_dagster.alerts.messages import Event, Message
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.alerts.github_server import TOKEN, GitHub, description
from cogo_dagster_tests.alerts.messages import a_message, a_weekly, an_alert
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, Request, receiving
from cogo_dagster_tests.alerts.test_github import another, tell
from cogo_dagster_tests.npm import npm_packages
from cogo_dagster_tests.programs import required

OCTOKIT: Final = ("@octokit/rest@20.1.2",)

RUNNER: Final = """
const { Octokit } = require('@octokit/rest')
const { script, payload, url, token } = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const github = new Octokit({ auth: token, baseUrl: url, userAgent: 'actions/github-script',
  log: { debug() {}, info() {}, warn() {}, error: console.error } })
github.hook.before('request', options => { options.headers['x-github-api-version'] = '2022-11-28' })
const context = { payload: { client_payload: payload }, repo: { owner: 'acme', repo: 'shop' } }
const AsyncFunction = (async () => {}).constructor
// Timers fire at once; the number of retries is visible in the requests.
const immediately = callback => setImmediate(callback)
new AsyncFunction('github', 'context', 'setTimeout', script)(github, context, immediately)
  .catch(error => { console.error(error); process.exit(1) })
"""


@pytest.fixture
def github() -> GitHub:
    """Return the repository."""
    return GitHub()


@pytest.fixture
def receiver(github: GitHub) -> Iterator[Receiver]:
    """Run the API."""
    description()
    with receiving(github) as receiver:
        yield receiver


def dispatched(receiver: Receiver, github: GitHub, message: Message) -> dict[str, Any]:
    """Deliver a message as an event; return the payload."""
    tell(receiver, message, "dispatch")
    payload: dict[str, Any] = github.dispatches[-1]["client_payload"]
    return payload


def run_workflow(receiver: Receiver, payload: dict[str, Any]) -> None:
    """Run the workflow's script on a payload."""
    text = (PROJECT_ROOT / ".github" / "workflows" / "alert-issues.yml").read_text(encoding="utf-8")
    [step] = yaml.safe_load(text)["jobs"]["upsert"]["steps"]
    given = {
        "script": step["with"]["script"],
        "payload": payload,
        "url": receiver.url("").rstrip("/"),
        "token": TOKEN,
    }
    modules = npm_packages("octokit-rest-20", OCTOKIT)
    [_, node] = required("npm", "node")
    done = subprocess.run(
        [node, "-e", RUNNER],
        input=json.dumps(given),
        env={"NODE_PATH": str(modules), "PATH": str(Path(node).parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def deliver(receiver: Receiver, github: GitHub, message: Message) -> None:
    """Deliver a message through the event and the workflow."""
    run_workflow(receiver, dispatched(receiver, github, message))


def test_a_cause_has_one_issue_that_closes_when_it_resolves(receiver: Receiver, github: GitHub) -> None:
    """Firing opens an issue; a repeat comments once, also if its run is repeated; a resolution closes the issue."""
    first = a_message()
    deliver(receiver, github, first)
    repeat = dispatched(receiver, github, another(first, Event.REPEAT))
    run_workflow(receiver, repeat)
    run_workflow(receiver, repeat)
    assert [(issue["state"], issue["comments"]) for issue in github.issues] == [("open", 1)]
    deliver(receiver, github, another(first, Event.RESOLVED))
    [issue] = github.issues
    assert (issue["state"], issue["state_reason"], len(github.comments)) == ("closed", "completed", 2)
    assert github.faults == []


def test_an_issue_of_several_alerts_closes_with_the_last(receiver: Receiver, github: GitHub) -> None:
    """Each resolution removes a label; the last one closes the issue."""
    deliver(receiver, github, a_message(*(an_alert(number) for number in range(2))))
    deliver(receiver, github, another(a_message(an_alert(0)), Event.RESOLVED))
    assert github.issues[0]["state"] == "open"
    deliver(receiver, github, another(a_message(an_alert(1)), Event.RESOLVED))
    assert [issue["state"] for issue in github.issues] == ["closed"]
    assert github.faults == []


def test_a_summary_replaces_the_previous_one(receiver: Receiver, github: GitHub) -> None:
    """Only the last summary is open, and a repeated run opens no second issue."""
    for week in ("# Week 47", "# Week 48"):
        payload = dispatched(receiver, github, another(a_weekly(week), Event.ANNOUNCEMENT))
        run_workflow(receiver, payload)
        run_workflow(receiver, payload)
    assert [issue["state"] for issue in github.issues] == ["closed", "open"]
    assert github.faults == []


def test_a_resolution_waits_for_the_run_that_opens_the_issue(receiver: Receiver, github: GitHub) -> None:
    """If the issue does not exist yet, because another run is creating it, the script retries until it does."""
    first = a_message()
    firing = dispatched(receiver, github, first)["alert"]
    resolved = dispatched(receiver, github, another(first, Event.RESOLVED))
    looks: list[Request] = []

    def handle(request: Request) -> Reply:
        if request.method == "GET" and re.search(r"/issues$", request.path):
            looks.append(request)
            if len(looks) == 2:
                labels = [{"name": name} for name in firing["labels"]]
                issue = {"title": firing["title"], "body": firing["body"], "labels": labels, "number": 1}
                github.issues.append({**issue, "state": "open", "comments": 0})
        return github(request)

    with receiving(handle) as other:
        run_workflow(other, resolved)
    assert [issue["state"] for issue in github.issues] == ["closed"]
    assert len(looks) == 2
