"""Formats results as Markdown tables, and stores them as JSON."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import targets

RESULTS: Final = Path(__file__).parent / "results"
COSTS: Final = ("commits", "wal_bytes", "server_cpu_us", "client_cpu_us")
OURS: Final = "cogo"
LIMIT: Final = "limit (pgbench)"

About = dict[str, Any]
Row = Sequence[str]


def machine() -> About:
    """Return a description of the machine."""
    cpus = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in cpus.splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024**2
    return {
        "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} x {model}, {memory} GiB, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def write(about: About) -> Path:
    """Write the results to the folder `results`; the file name has date and time."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y-%m-%d-%H%M}.json"
    if path.exists():
        path = RESULTS / f"{now:%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps(about, indent=1) + "\n")
    return path


def line(numbers: dict[str, Any]) -> str:
    """Return one measurement on one line."""
    if "failed" in numbers:
        return f"failed: {numbers['failed']}"
    return " ".join(f"{k}={_number(v)}" for k, v in numbers.items() if isinstance(v, int | float))


def markdown(about: About) -> str:
    """Return all tables."""
    rounds = about["rounds"]
    parts = [
        table(targets.HEAD, targets.rows(rounds)),
        _drains(rounds),
        _costs(rounds),
        _ratios(rounds),
        _enqueues(rounds),
        _pickups(rounds),
        _snapshots(rounds),
        _histories(rounds),
    ]
    return "\n\n".join(part for part in parts if part)


def _drains(rounds: list[About]) -> str:
    single, double = _of(rounds, "drain"), _of(rounds, "drain2")
    rows = [
        [peer, *(_spread(table.get(peer, []), "jobs_per_second") for table in (single, double))]
        for peer in single.keys() | double
    ]
    return table(["jobs/s, median (min-max)", "one worker", "two workers"], _sorted(rows))


def _costs(rounds: list[About]) -> str:
    drains = _of(rounds, "drain")
    rows = [[peer, *(_spread(found, cost) for cost in COSTS)] for peer, found in drains.items()]
    head = ["per job, one worker", "commits", "WAL bytes", "server CPU µs", "client CPU µs"]
    return table(head, _sorted(rows))


def _ratios(rounds: list[About]) -> str:
    """Return the ratios of cogo to the limit and to the fastest peer, within each round."""
    over_limit, over_best = [], []
    for found in (r.get("drain", {}) for r in rounds):
        rate = {peer: n["jobs_per_second"] for peer, n in found.items() if "jobs_per_second" in n}
        others = [value for peer, value in rate.items() if not peer.startswith(OURS) and peer != LIMIT]
        if OURS in rate and LIMIT in rate:
            over_limit.append({"ratio": rate[OURS] / rate[LIMIT]})
        if OURS in rate and others:
            over_best.append({"ratio": rate[OURS] / max(others)})
    rows = [["to the limit", _spread(over_limit, "ratio")], ["to the fastest peer", _spread(over_best, "ratio")]]
    return table(["cogo, one worker, same round", "ratio"], rows) if over_limit or over_best else ""


def _enqueues(rounds: list[About]) -> str:
    bulk, singly = _of(rounds, "drain"), _of(rounds, "single")
    rows = [
        [
            peer,
            _spread(bulk.get(peer, []), "enqueued_per_second"),
            _spread(singly.get(peer, []), "idle_per_second"),
            _spread(singly.get(peer, []), "busy_per_second"),
        ]
        for peer in bulk.keys() | singly
        if peer != LIMIT
    ]
    return table(["enqueued/s", "in bulk", "singly, worker idle", "singly, worker busy"], _sorted(rows))


def _pickups(rounds: list[About]) -> str:
    names = [f"{since}_p{p}_ms" for since in ("committed", "called") for p in (50, 95, 99)]
    found = _of(rounds, "pickup")
    rows = [[peer, *(_spread(numbers, name) for name in names)] for peer, numbers in found.items()]
    head = ["ms to the start", "commit p50", "p95", "p99", "call p50", "p95", "p99"]
    return table(head, _sorted(rows))


def _snapshots(rounds: list[About]) -> str:
    rows = []
    for peer, found in _of(rounds, "snapshot").items():
        drains = [[n["drains"][i] for n in found] for i in range(3)]
        cpu = " → ".join(_number(_median(d["server_cpu_us"] for d in drains[i])) for i in (0, 2))
        rates = [_spread(drains[i], "jobs_per_second") for i in range(3)]
        rows.append([peer, *rates, _spread(found, "third_to_first"), cpu])
    head = ["snapshot held, jobs/s", "first drain", "second", "third", "third : first", "server CPU µs"]
    return table(head, _sorted(rows))


def _histories(rounds: list[About]) -> str:
    rows = []
    for peer, found in _of(rounds, "history").items():
        rates = [_spread([n[which] for n in found], "jobs_per_second") for which in ("empty", "stored")]
        rows.append([peer, *rates, *(_spread(found, name) for name in ("slowdown", "server_cpu_us", "wal_bytes"))])
    head = ["1,000,000 finished rows", "empty, jobs/s", "stored, jobs/s", "time x", "server CPU x", "WAL x"]
    return table(head, rows)


def _of(rounds: list[About], what: str) -> dict[str, list[About]]:
    """Return the numbers of each round, by peer."""
    found: dict[str, list[About]] = {}
    for measured in rounds:
        for peer, numbers in measured.get(what, {}).items():
            found.setdefault(peer, [])
            if "failed" not in numbers:
                found[peer].append(numbers)
    return found


def _spread(found: Iterable[About], name: str) -> str:
    values = sorted(numbers[name] for numbers in found if name in numbers)
    if not values:
        return "-"
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(values[0])}-{_number(values[-1])})"


def _median(values: Iterable[float]) -> float:
    kept = list(values)
    return statistics.median(kept) if kept else float("nan")


def _number(value: float) -> str:
    for minimum, form in ((100, "{:,.0f}"), (10, "{:.1f}"), (1, "{:.2f}")):
        if abs(value) >= minimum:
            return form.format(value)
    return f"{value:.2g}" if value else "0"


def _sorted(rows: list[list[str]]) -> list[list[str]]:
    """Sort by name, with cogo first and the limit second."""
    return sorted(rows, key=lambda row: (not row[0].startswith(OURS), row[0] != LIMIT, row[0]))


def table(head: Row, rows: Sequence[Row]) -> str:
    """Return a Markdown table; empty without rows."""
    if not rows:
        return ""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
