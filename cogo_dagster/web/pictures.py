"""SVG charts of the dashboard, with labels instead of legends. Pure."""

from collections.abc import Sequence
from html import escape
from typing import Final

from markupsafe import Markup

from cogo_dagster.charts import circle, rect, rule, text
from cogo_dagster.formatting.values import counted
from cogo_dagster.quality.records import GateRun
from cogo_dagster.web.history import Bucket

_HEIGHT: Final = 150
_TOP: Final = 14
_LEFT: Final = 44
_KINDS: Final = ("succeeded", "failed", "cancelled")


def bars(buckets: Sequence[Bucket], width: int = 1_000) -> Markup:
    """Draw the number of jobs that finished in each hour or on each day, newest on the right, with links to them.

    Args:
        width: Width in SVG units; a narrow screen needs a narrow chart, so that labels stay legible.
    """
    highest = max((sum(_counts(bucket).values()) for bucket in buckets), default=0)
    total = {kind: sum(_counts(bucket)[kind] for bucket in buckets) for kind in _KINDS}
    step = (width - _LEFT) / max(len(buckets), 1)
    every = -(-len(buckets) // (6 if width > 500 else 4)) if buckets else 1
    parts = [_scale(highest, width)]
    for at, bucket in enumerate(buckets):
        parts.append(_bar(bucket, _LEFT + at * step, step, highest))
        if at % every == every // 2:
            parts.append(text(_LEFT + (at + 0.5) * step, _HEIGHT + 14, _mark(bucket, len(buckets)), "middle"))
    label = ", ".join(f"{number:,} {kind}" for kind, number in total.items())
    # Not an image: the bars are links. The tab key skips them, since the history has a table of them.
    return _picture("bars", f'viewBox="0 0 {width} {_HEIGHT + 20}"', label, parts, role="group")


def gate_trend(runs: Sequence[GateRun]) -> Markup:
    """Draw gate runs as bars, newest on the right: long bars passed, short ones failed."""
    parts = []
    for at, run in enumerate(reversed(runs)):
        passed = run.status == "pass"
        height = 36 if passed else 16
        label = f"{run.status} {run.commit_sha[:8]}"
        kind = "succeeded" if passed else "failed"
        parts.append(rect(kind, at * 12, 38 - height, 9, height, radius=2, title=label))
    passes = sum(run.status == "pass" for run in runs)
    place = f'viewBox="0 0 {max(len(runs) * 12, 240)} 40" preserveAspectRatio="xMinYMid"'
    return _picture("trend", place, f"Last {counted(len(runs), 'gate run')}: {passes} passed", parts)


def gate_latency(runs: Sequence[GateRun]) -> Markup:
    """Draw the duration of builds and tests, newest on the right, as labelled lines."""
    series = {
        "build": [run.build_seconds for run in reversed(runs)],
        "test": [run.test_seconds for run in reversed(runs)],
    }
    highest = max((value for values in series.values() for value in values if value is not None), default=0)
    parts = []
    if highest:
        for share in (0, 0.5, 1):
            parts.append(rule(_LEFT, 455, 120 - share * 108))
            parts.append(text(_LEFT - 6, 124 - share * 108, f"{highest * share:,.0f} s", "end"))
        parts += [_line(name, values, highest) for name, values in series.items()]
    label = f"Build and test seconds of the last {counted(len(runs), 'gate run')}, maximum {highest:,.0f} s"
    return _picture("bars lines", 'viewBox="0 0 500 130"', label, parts)


def _picture(kind: str, place: str, label: str, parts: Sequence[str], role: str = "img") -> Markup:
    head = f'<svg class="chart {kind}" {place} role="{role}" aria-label="{escape(label)}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704 - the shapes escape their text


def _scale(highest: int, width: int) -> str:
    parts = []
    for value in dict.fromkeys((0, highest // 2, highest)):
        y = _HEIGHT - (value / highest * (_HEIGHT - _TOP) if highest else 0)
        parts += [rule(_LEFT, width, y), text(_LEFT - 6, y + 4, f"{value:,}", "end")]
    return "".join(parts)


def _counts(bucket: Bucket) -> dict[str, int]:
    return {"succeeded": bucket.succeeded, "failed": bucket.failed, "cancelled": bucket.cancelled or 0}


def _mark(bucket: Bucket, count: int) -> str:
    """Return the label of a bar on the axis."""
    return f"{bucket.start:%H:%M}" if count <= 24 else f"{bucket.start:%d %b}"


def _bar(bucket: Bucket, x: float, step: float, highest: int) -> str:
    y = float(_HEIGHT)
    counts = ", ".join(f"{number:,} {kind}" for kind, number in _counts(bucket).items())
    parts = [f"<title>{bucket.label}: {counts}</title>", rect("hit", x, 0, step, _HEIGHT)]
    for kind, value in _counts(bucket).items():
        if value:
            height = max(value / highest * (_HEIGHT - _TOP), 1.5)
            y -= height
            parts.append(rect(kind, x + step * 0.14, y, step * 0.72, height))
    label = escape(f"{bucket.label}: {counts}")
    return f'<a href="{escape(bucket.search)}" tabindex="-1" aria-label="{label}">{"".join(parts)}</a>'


def _line(name: str, values: Sequence[float | None], highest: float) -> str:
    step = 405 / max(len(values) - 1, 1)
    points = [(48 + at * step, 120 - value / highest * 108) for at, value in enumerate(values) if value is not None]
    if not points:
        return ""
    dots = "".join(circle(x, y, 2.4) for x, y in points)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    end_x, end_y = points[-1]
    return f'<g class="{name}"><polyline points="{path}"/>{dots}{text(end_x + 8, end_y + 4, name)}</g>'
