"""Hours as stacked bars: a picture for the dashboard. Pure."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from cogo_dagster.insights.model import Hour

_WIDTH: Final = 1_000
_HEIGHT: Final = 150
_TOP: Final = 14
_LEFT: Final = 44
_KINDS: Final = ("succeeded", "failed", "cancelled")


def bars(hours: Sequence[Hour]) -> Markup:
    """Draw what ended within each hour, the newest on the right."""
    most = max((hour.succeeded + hour.failed + hour.cancelled for hour in hours), default=0)
    total = {kind: sum(getattr(hour, kind) for hour in hours) for kind in _KINDS}
    words = ", ".join(f"{number:,} {kind}" for kind, number in total.items())
    step = (_WIDTH - _LEFT) / max(len(hours), 1)
    parts = [_scale(most)]
    for at, hour in enumerate(hours):
        parts.append(_bar(hour, _LEFT + at * step, step, most))
        if hour.start.hour % 4 == 0:
            parts.append(
                Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:%H:%M}</text>').format(
                    _LEFT + (at + 0.5) * step, _HEIGHT + 14, hour.start
                )
            )
    return Markup('<svg class="chart bars" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT + 20, words, Markup("").join(parts)
    )


def _scale(most: int) -> Markup:
    lines = Markup("")
    for value in dict.fromkeys((0, most // 2, most)):
        y = _HEIGHT - (value / most * (_HEIGHT - _TOP) if most else 0)
        lines += Markup('<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>').format(_LEFT, _WIDTH, y)
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
