"""`cogo ci gate q1`, `cogo metrics` and `cogo weekly`: from the database and from the API, the same."""

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
    """Write gate runs down."""
    for status in statuses:
        gates.record(a_run(status=status, branch=branch))


@contextmanager
def metrics_api(gates: GateService) -> Iterator[str]:
    """Serve the API's documents of a database, as the web does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
            branch = query.get("branch", [None])[0]
            if parts.path == "/api/metrics/gate/summary":
                document = gates.summary(float(query["hours"][0]), branch).model_dump_json()
            elif parts.path == "/api/metrics/weekly/summary":
                document = gates.weekly(query.get("week", [None])[0], branch).model_dump_json()
            else:
                document = "<html>somebody else</html>"
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
    """0 pass, 1 fail, 3 not computed."""
    record(gates, *statuses.split())
    answer = cogo.run(*BY_DB)
    assert (answer.code, answer.out.split("  ")[0]) == (code, word)
    assert cogo.run("ci:gate:q1:sb", "--json").json["verdict"] == word.lower().replace(" ", "_")


def test_the_threshold_may_be_given(cogo: Terminal, gates: GateService) -> None:
    """By option or by setting; fixes and other branches do not count."""
    record(gates, *["pass"] * 3, *["fail"] * 2)
    record(gates, *["fail"] * 20, branch="feature/x")
    assert cogo.run(*BY_DB, "--min-pass-rate", "60").code == 0
    assert cogo.run(*BY_DB, COGO_GATE_MIN_PASS_RATE="61").code == 1
    assert cogo.run(*BY_DB, "--min-runs", "6").code == 3
    assert cogo.run(*BY_DB, "--branch", "feature/x").code == 1


def test_an_unknown_branch_is_not_computed(cogo: Terminal, gates: GateService) -> None:
    """And says which ones there are."""
    record(gates, "pass")
    answer = cogo.run(*BY_DB, "--branch", "mian")
    assert answer.code == 3
    assert "No gate run was recorded on the branch mian: runs were recorded on main." in answer.out


def test_github_actions_sees_an_annotation_and_a_page(cogo: Terminal, gates: GateService, tmp_path: Path) -> None:
    """On standard error, so that --json stays one document."""
    record(gates, *["fail"] * 5)
    page = tmp_path / "summary.md"
    answer = cogo.run(*BY_DB, "--json", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(page))
    assert answer.json["verdict"] == "fail"
    assert answer.err.startswith("::error title=Quality Gate (Q1)::FAIL: 0 of 5 gate runs on main passed (0 %25)")
    assert page.read_text().startswith("# Quality Gate (Q1): FAIL\n")
    assert cogo.run(*BY_DB).err == ""


def test_the_api_and_the_database_say_the_same(cogo: Terminal, gates: GateService, owner: Owner) -> None:
    """The verdict, the snapshot and the week."""
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


def test_without_a_source_the_api_is_asked(cogo: Terminal) -> None:
    """And where it is not known, unreachable or something else, that is said."""
    unset = cogo.run("ci:gate:q1")
    assert unset.code == 2
    assert unset.err.startswith("METRICS_BASE is not set")
    assert cogo.run("ci:gate:q1", METRICS_BASE="http://127.0.0.1:9").code == 4
    assert cogo.run("ci:gate:q1", METRICS_BASE="not an address").code == 4


def test_an_api_that_is_none_is_refused(cogo: Terminal, gates: GateService) -> None:
    """It answers, but with something else."""
    with metrics_api(gates) as base:
        answer = cogo.run("ci:gate:q1", METRICS_BASE=f"{base}/elsewhere")
    assert (answer.code, answer.out) == (4, "")
    assert "must be a COGO metrics API" in answer.err


def test_a_snapshot_is_kept_and_printed(cogo: Terminal, gates: GateService, owner: Owner, transport: Transport) -> None:
    """The last 24 hours, or a day that is over."""
    a_month(MONDAY, days=2).write(owner)
    record(gates, *["pass"] * 5)
    rolling = cogo.ok("metrics", "snapshot")
    assert (rolling["q1"]["verdict"], rolling["outcome"]) == ("pass", "stored")
    assert len(transport.call("list_gate_snapshots", {"kind": "rolling"})) == 1
    day = cogo.ok("metrics", "snapshot", "--day", "2026-10-05")
    assert (day["window"]["start"], day["revision"]) == ("2026-10-05T00:00:00Z", 1)
    assert "| Jobs succeeded |" in cogo.run("metrics", "snapshot").out


@pytest.mark.parametrize(
    ("day", "words"), [("2026-13-01", "is not a date"), (f"{datetime.now(UTC):%Y-%m-%d}", "is not over")]
)
def test_a_day_that_cannot_be_kept_is_refused(cogo: Terminal, day: str, words: str) -> None:
    """Exit code 2."""
    answer = cogo.run("metrics", "snapshot", "--day", day)
    assert answer.code == 2
    assert words in answer.err


def test_a_threshold_is_tried_on_past_days(cogo: Terminal, gates: GateService, owner: Owner) -> None:
    """Before it is adopted."""
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
    assert f"{failed} of 30 days would have failed" in cogo.run("metrics:backtest", "--min-pass-rate", "90").out


def test_a_week_is_enqueued_once(cogo: Terminal) -> None:
    """Run twice, it is the same job; without a week it is the last one that is over."""
    first = cogo.ok("weekly:enqueue")
    second = cogo.ok("weekly", "enqueue", "--week", first["week"])
    assert (first["created"], second) == (True, first | {"created": False})
    [job] = cogo.ok("list", "jobs")
    assert (job["type"], job["idempotency_key"]) == ("weekly_summary", f"weekly:{first['week']}")
    for wrong in ("47", "2026-W99", "2026-W4\uff11", "2090-W10", f"{datetime.now(UTC):%G-W%V}"):
        assert cogo.run("weekly", "enqueue", "--week", wrong).code == 2
    again = cogo.ok("weekly", "enqueue", "--again")
    assert (again["created"], again["job_id"] != first["job_id"]) == (True, True)


def test_a_week_that_nobody_was_told_can_be_enqueued_again(cogo: Terminal, owner: Owner) -> None:
    """Its job succeeded without a target; the next one is sent to the target that there is then."""
    first = cogo.ok("weekly", "enqueue")
    owner.execute("update public.jobs set status = 'succeeded', finished_at = now()")
    second = cogo.ok("weekly", "enqueue")
    assert (second["created"], second["week"], second["job_id"] != first["job_id"]) == (True, first["week"], True)
    assert cogo.ok("weekly", "enqueue")["created"] is False
