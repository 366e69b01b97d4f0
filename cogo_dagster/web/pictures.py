"""Pictures for the dashboard, which can be read without a legend. Pure."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from cogo_dagster.quality.records import GateRun
from cogo_dagster.queue.stats import Hour

_HEIGHT: Final = 150
_TOP: Final = 14
_LEFT: Final = 44
_RULE: Final = Markup('<line x1="44" x2="455" y1="{0:.1f}" y2="{0:.1f}"/>') + Markup(
    '<text x="38" y="{1:.1f}" text-anchor="end">{2}</text>'
)
_KINDS: Final = ("succeeded", "failed", "cancelled")


def bars(hours: Sequence[Hour], width: int = 1_000) -> Markup:
    """Draw what ended within each hour, the newest on the right.

    Args:
        width: In the units of its letters: a narrow screen needs a narrow picture.
    """
    most = max((hour.succeeded + hour.failed + hour.cancelled for hour in hours), default=0)
    total = {kind: sum(getattr(hour, kind) for hour in hours) for kind in _KINDS}
    words = ", ".join(f"{number:,} {kind}" for kind, number in total.items())
    step = (width - _LEFT) / max(len(hours), 1)
    parts = [_scale(most, width)]
    for at, hour in enumerate(hours):
        parts.append(_bar(hour, _LEFT + at * step, step, most))
        if hour.start.hour % (4 if width > 500 else 6) == 0:
            parts.append(
                Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:%H:%M}</text>').format(
                    _LEFT + (at + 0.5) * step, _HEIGHT + 14, hour.start
                )
            )
    return Markup('<svg class="chart bars" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, _HEIGHT + 20, words, Markup("").join(parts)
    )


def _scale(most: int, width: int) -> Markup:
    lines = Markup("")
    for value in dict.fromkeys((0, most // 2, most)):
        y = _HEIGHT - (value / most * (_HEIGHT - _TOP) if most else 0)
        lines += Markup('<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>').format(_LEFT, width, y)
        lines += Markup('<text x="{}" y="{:.1f}" text-anchor="end">{:,}</text>').format(_LEFT - 6, y + 4, value)
    return lines


def _bar(hour: Hour, x: float, step: float, most: int) -> Markup:
    y = float(_HEIGHT)
    shapes = Markup("<g><title>{:%H:%M}: {:,} succeeded, {:,} failed, {:,} cancelled</title>").format(
        hour.start, hour.succeeded, hour.failed, hour.cancelled
    )
    for kind in _KINDS:
        value = getattr(hour, kind)
        if value:
            height = max(value / most * (_HEIGHT - _TOP), 1.5)
            y -= height
            shapes += Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                kind, x + step * 0.14, y, step * 0.72, height
            )
    return shapes + Markup("</g>")


def gate_trend(runs: Sequence[GateRun]) -> Markup:
    """Draw gate runs as posts, the newest on the right: whole ones passed, short ones failed."""
    parts = Markup("")
    for at, run in enumerate(reversed(runs)):
        passed = run.status == "pass"
        height = 36 if passed else 16
        kind, words = ("succeeded" if passed else "failed"), f"{run.status} {run.commit_sha[:8]}"
        parts += Markup('<rect class="{}" x="{}" y="{}" width="9" height="{}" rx="2"><title>{}</title></rect>').format(
            kind, at * 12, 38 - height, height, words
        )
    passes = sum(run.status == "pass" for run in runs)
    place = Markup('viewBox="0 0 {} 40" preserveAspectRatio="xMinYMid"').format(max(len(runs) * 12, 240))
    return Markup('<svg class="chart trend" {} role="img" aria-label="{}">{}</svg>').format(
        place, f"The last {len(runs)} gate runs: {passes} passed", parts
    )


def gate_latency(runs: Sequence[GateRun]) -> Markup:
    """Draw how long builds and tests took, the newest on the right; the lines carry their names."""
    series = {
        "build": [run.build_seconds for run in reversed(runs)],
        "test": [run.test_seconds for run in reversed(runs)],
    }
    most = max((value for values in series.values() for value in values if value is not None), default=0)
    parts = Markup("")
    if most:
        parts = _rule(most) + Markup("").join(_line(name, values, most) for name, values in series.items())
    return Markup('<svg class="chart bars lines" viewBox="0 0 500 130" role="img" aria-label="{}">{}</svg>').format(
        f"Build and test seconds of the last {len(runs)} gate runs, at most {most:,.0f} s", parts
    )


def _rule(most: float) -> Markup:
    return Markup("").join(
        _RULE.format(120 - share * 108, 124 - share * 108, f"{most * share:,.0f} s") for share in (0, 0.5, 1)
    )


def _line(name: str, values: Sequence[float | None], most: float) -> Markup:
    step = 405 / max(len(values) - 1, 1)
    points = [(48 + at * step, 120 - value / most * 108) for at, value in enumerate(values) if value is not None]
    if not points:
        return Markup("")
    dots = Markup("").join(Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.4"/>').format(x, y) for x, y in points)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<g class="{0}"><polyline points="{1}"/>{2}<text x="{3:.1f}" y="{4:.1f}">{0}</text></g>').format(
        name, path, dots, points[-1][0] + 8, points[-1][1] + 4
    )
