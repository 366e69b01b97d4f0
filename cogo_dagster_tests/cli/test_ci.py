"""`cogo ci gate q1`, `cogo metrics` and `cogo weekly`, from the database and from the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from cogo_dagster.quality.gates import GateService
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.quality.conftest import gates, store
from cogo_dagster_tests.quality.history import a_month
from cogo_dagster_tests.queue.conformance.test_gate_runs import a_run

__all__ = ["gates", "store"]

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)
BY_DB = ("ci", "gate", "q1", "--source", "db")


def record(gates: GateService, *statuses: str, branch: str = "main") -> None:
    """Record gate runs with these statuses."""
    for status in statuses:
        gates.record(a_run(status=status, branch=branch))


@contextmanager
def metrics_api(gates: GateService) -> Iterator[str]:
    """Serve the documents of the metrics API from a database."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
            branch = query.get("branch", [None])[0]
            if parts.path == "/api/metrics/gate/summary":
                document = gates.summary(float(query["hours"][0]), branch).model_dump_json()
            elif parts.path == "/api/metrics/weekly/summary":
                document = gates.weekly(query.get("week", [None])[0], branch).model_dump_json()
            else:
                document = "<html>another service</html>"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(document.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("statuses", "code", "word"),
    [("pass " * 4 + "fail", 0, "PASS"), ("pass " * 3 + "fail fail", 1, "FAIL"), ("pass " * 4, 3, "NOT COMPUTED")],
)
def test_the_exit_code_is_the_verdict(cogo: Terminal, gates: GateService, statuses: str, code: int, word: str) -> None:
    """The exit code is 0 for pass, 1 for fail and 3 for not computed."""
    record(gates, *statuses.split())
    answer = cogo.run(*BY_DB)
    assert (answer.code, answer.out.split("  ")[0]) == (code, word)
    assert cogo.run("ci:gate:q1:sb", "--json").json["verdict"] == word.lower().replace(" ", "_")


def test_the_threshold_can_be_set(cogo: Terminal, gates: GateService) -> None:
    """The threshold is set by option or setting; runs of other branches do not count."""
    record(gates, *["pass"] * 3, *["fail"] * 2)
    record(gates, *["fail"] * 20, branch="feature/x")
    assert cogo.run(*BY_DB, "--min-pass-rate", "60").code == 0
    assert cogo.run(*BY_DB, COGO_GATE_MIN_PASS_RATE="61").code == 1
    assert cogo.run(*BY_DB, "--min-runs", "6").code == 3
    assert cogo.run(*BY_DB, "--branch", "feature/x").code == 1


def test_an_unknown_branch_is_not_computed(cogo: Terminal, gates: GateService) -> None:
    """The message lists the branches that have gate runs."""
    record(gates, "pass")
    answer = cogo.run(*BY_DB, "--branch", "mian")
    assert answer.code == 3
    assert "No gate run was recorded on the branch mian: runs were recorded on main." in answer.out


def test_github_actions_gets_an_annotation_and_a_page(cogo: Terminal, gates: GateService, tmp_path: Path) -> None:
    """The annotation is written to standard error, so that standard output is one JSON document."""
    record(gates, *["fail"] * 5)
    page = tmp_path / "summary.md"
    answer = cogo.run(*BY_DB, "--json", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(page))
    assert answer.json["verdict"] == "fail"
    assert answer.err.startswith("::error title=Quality Gate (Q1)::FAIL: 0 of 5 gate runs on main passed (0 %25)")
    assert page.read_text().startswith("# Quality Gate (Q1): FAIL\n")
    assert cogo.run(*BY_DB).err == ""


def test_the_api_and_the_database_return_the_same(cogo: Terminal, gates: GateService, owner: Owner) -> None:
    """The result of Q1, the snapshot and the week are the same from both sources."""
    record(gates, *["pass"] * 4, "fail")
    a_month(MONDAY, days=14).write(owner)
    with metrics_api(gates) as base:
        by_api = cogo.run("ci", "gate", "q1", "--json", METRICS_BASE=base)
        by_db = cogo.run(*BY_DB, "--json")
        assert by_api.code == by_db.code == 0
        assert {**by_api.json, "window": 0, "source": 0} == {**by_db.json, "window": 0, "source": 0}
        week = ("weekly", "show", "--week", "2026-W42")
        assert cogo.ok(*week, "--source", "api", METRICS_BASE=base) == cogo.ok(*week)
        snapshot = cogo.ok("metrics", "snapshot", "--source", "api", METRICS_BASE=base)
        assert snapshot["jobs"] == cogo.ok("metrics:snapshot")["jobs"]


def test_the_api_is_the_default_source(cogo: Terminal) -> None:
    """Without METRICS_BASE the exit code is 2; with one that is unreachable or invalid it is 4."""
    unset = cogo.run("ci:gate:q1")
    assert unset.code == 2
    assert unset.err.startswith("METRICS_BASE is not set")
    assert cogo.run("ci:gate:q1", METRICS_BASE="http://127.0.0.1:9").code == 4
    assert cogo.run("ci:gate:q1", METRICS_BASE="not an address").code == 4


def test_a_response_of_another_service_is_rejected(cogo: Terminal, gates: GateService) -> None:
    """A response that is not a document of the metrics API exits with 4."""
    with metrics_api(gates) as base:
        answer = cogo.run("ci:gate:q1", METRICS_BASE=f"{base}/elsewhere")
    assert (answer.code, answer.out) == (4, "")
    assert "must be a COGO metrics API" in answer.err


def test_a_snapshot_is_stored_and_printed(
    cogo: Terminal, gates: GateService, owner: Owner, transport: Transport
) -> None:
    """A snapshot covers the last 24 hours, or a finished day with --day."""
    a_month(MONDAY, days=2).write(owner)
    record(gates, *["pass"] * 5)
    rolling = cogo.ok("metrics", "snapshot")
    assert (rolling["q1"]["verdict"], rolling["outcome"]) == ("pass", "stored")
    assert len(transport.call("list_gate_snapshots", {"kind": "rolling"})) == 1
    day = cogo.ok("metrics", "snapshot", "--day", "2026-10-05")
    assert (day["window"]["start"], day["revision"]) == ("2026-10-05T00:00:00Z", 1)
    assert "| Jobs succeeded |" in cogo.run("metrics", "snapshot").out


@pytest.mark.parametrize(("day", "message"), [("2026-13-01", "is not a date"), ("2090-01-01", "is not over")])
def test_an_invalid_or_unfinished_day_is_rejected(cogo: Terminal, day: str, message: str) -> None:
    """The exit code is 2, and nothing is stored."""
    answer = cogo.run("metrics", "snapshot", "--day", day)
    assert answer.code == 2
    assert message in answer.err


def test_a_threshold_is_evaluated_on_past_days(cogo: Terminal, gates: GateService, owner: Owner) -> None:
    """The backtest returns one row per day and counts the days below the threshold."""
    month = a_month(MONDAY, days=30)
    month.write(owner)
    for day in range(30):
        gates.store_day(MONDAY + timedelta(days=day))
    rates = [month.numbers(MONDAY + timedelta(days=d), MONDAY + timedelta(days=d + 1))["gate"] for d in range(30)]
    for threshold in (60, 70, 90):
        rows = cogo.ok("metrics", "backtest", "--min-pass-rate", str(threshold))
        assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
        failed = sum(row["verdict"] == "fail" for row in rows)
        assert failed == sum(r["runs"] >= 5 and r["passed"] * 100 < threshold * r["runs"] for r in rates)
    assert f"{failed} of 30 days fail" in cogo.run("metrics:backtest", "--min-pass-rate", "90").out


def test_a_week_is_enqueued_once(cogo: Terminal) -> None:
    """A second call returns the same job; the default is the last finished week."""
    first = cogo.ok("weekly:enqueue")
    second = cogo.ok("weekly", "enqueue", "--week", first["week"])
    assert (first["created"], second) == (True, first | {"created": False})
    [job] = cogo.ok("list", "jobs")
    assert (job["type"], job["idempotency_key"]) == ("weekly_summary", f"weekly:{first['week']}")
    for wrong in ("47", "2026-W99", "2026-W4\uff11", "2090-W10", f"{datetime.now(UTC):%G-W%V}"):
        assert cogo.run("weekly", "enqueue", "--week", wrong).code == 2
    again = cogo.ok("weekly", "enqueue", "--again")
    assert (again["created"], again["job_id"] != first["job_id"]) == (True, True)


def test_a_week_that_was_not_delivered_can_be_enqueued_again(cogo: Terminal, owner: Owner) -> None:
    """A job that succeeded without a target does not prevent another job for the same week."""
    first = cogo.ok("weekly", "enqueue")
    owner.execute("update public.jobs set status = 'succeeded', finished_at = now()")
    second = cogo.ok("weekly", "enqueue")
    assert (second["created"], second["week"], second["job_id"] != first["job_id"]) == (True, first["week"], True)
    assert cogo.ok("weekly", "enqueue")["created"] is False
