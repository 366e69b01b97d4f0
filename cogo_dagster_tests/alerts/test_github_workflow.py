"""The workflow that is shipped: its script runs in Node.js with GitHub's own client against the repository."""

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
// Waiting takes no time here; how often the script waits is seen in its requests.
const immediately = callback => setImmediate(callback)
new AsyncFunction('github', 'context', 'setTimeout', script)(github, context, immediately)
  .catch(error => { console.error(error); process.exit(1) })
"""


@pytest.fixture
def github() -> GitHub:
    """The repository."""
    return GitHub()


@pytest.fixture
def receiver(github: GitHub) -> Iterator[Receiver]:
    """Its API."""
    description()
    with receiving(github) as receiver:
        yield receiver


def dispatched(receiver: Receiver, github: GitHub, message: Message) -> dict[str, Any]:
    """Deliver a message as an event, and return the event's payload."""
    tell(receiver, message, "dispatch")
    payload: dict[str, Any] = github.dispatches[-1]["client_payload"]
    return payload


def run_workflow(receiver: Receiver, payload: dict[str, Any]) -> None:
    """Run the workflow's script once on the payload of an event."""
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
    """Deliver a message by the event and the workflow."""
    run_workflow(receiver, dispatched(receiver, github, message))


def test_a_cause_has_one_issue_that_closes_when_it_resolves(receiver: Receiver, github: GitHub) -> None:
    """Firing opens it, a repeat and a repeated run comment once, resolved closes it."""
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
    """Each alert that resolves takes its label away."""
    deliver(receiver, github, a_message(*(an_alert(number) for number in range(2))))
    deliver(receiver, github, another(a_message(an_alert(0)), Event.RESOLVED))
    assert github.issues[0]["state"] == "open"
    deliver(receiver, github, another(a_message(an_alert(1)), Event.RESOLVED))
    assert [issue["state"] for issue in github.issues] == ["closed"]
    assert github.faults == []


def test_a_summary_replaces_the_one_before(receiver: Receiver, github: GitHub) -> None:
    """One announcement is open at a time, and a repeated run opens no second one."""
    for week in ("# Week 47", "# Week 48"):
        payload = dispatched(receiver, github, another(a_weekly(week), Event.ANNOUNCEMENT))
        run_workflow(receiver, payload)
        run_workflow(receiver, payload)
    assert [issue["state"] for issue in github.issues] == ["closed", "open"]
    assert github.faults == []


def test_a_resolution_waits_for_the_run_that_opens_the_issue(receiver: Receiver, github: GitHub) -> None:
    """A message of several alerts is another run: the issue that it opens meanwhile is found and closed."""
    first = a_message()
    firing = dispatched(receiver, github, first)["alert"]
    resolved = dispatched(receiver, github, another(first, Event.RESOLVED))
    looks: list[Request] = []

    def judge(request: Request) -> Reply:
        if request.method == "GET" and re.search(r"/issues$", request.path):
            looks.append(request)
            if len(looks) == 2:
                labels = [{"name": name} for name in firing["labels"]]
                issue = {"title": firing["title"], "body": firing["body"], "labels": labels, "number": 1}
                github.issues.append({**issue, "state": "open", "comments": 0})
        return github(request)

    with receiving(judge) as other:
        run_workflow(other, resolved)
    assert [issue["state"] for issue in github.issues] == ["closed"]
    assert len(looks) == 2
