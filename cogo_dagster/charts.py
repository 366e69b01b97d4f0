"""Charts as SVG, for pages and for files that are opened by themselves. Pure functions of numbers.

Shapes carry classes and no styles, so that a page with a strict Content-Security-Policy may have them inline; a
standalone one brings its own stylesheet, for light and dark. Labels stand on the chart, and a title and a description
say the same to those who do not see it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 40, 28

STYLESHEET: Final = """
svg.chart{font:12px system-ui,sans-serif;background:#fff;color:#1f2937}
.chart text{fill:currentColor}.chart .title{font-weight:600;font-size:13px}.chart .quiet{opacity:.65}
.chart .grid{stroke:currentColor;opacity:.15}.chart .line{fill:none;stroke:#2563eb;stroke-width:2}
.chart .dot{fill:#2563eb}.chart .low{fill:#dc2626}.chart .threshold{stroke:#d97706;stroke-dasharray:5 4}
.chart .threshold-label{fill:#b45309}.chart .good{fill:#16a34a}.chart .bad{fill:#dc2626}
@media (prefers-color-scheme:dark){svg.chart{background:#111827;color:#e5e7eb}
.chart .line{stroke:#60a5fa}.chart .dot{fill:#60a5fa}.chart .threshold-label{fill:#fbbf24}
.chart .good{fill:#4ade80}.chart .bad,.chart .low{fill:#f87171}}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """What a chart draws in: its place and what it is called."""

    title: str
    top: int = 0
    width: int = WIDTH
    height: int = HEIGHT

    def x(self, place: float, count: int) -> float:
        """Return the middle of a column."""
        return _LEFT + (place + 0.5) * (self.width - _LEFT - _RIGHT) / max(count, 1)

    def y(self, share: float) -> float:
        """Return the height of a share of the scale."""
        floor = self.top + self.height - _BOTTOM
        return floor - share * (self.height - _TOP - _BOTTOM)


def line_panel(
    panel: Panel,
    labels: Sequence[str],
    values: Sequence[float | None],
    *,
    most: float,
    unit: str,
    threshold: float | None = None,
) -> str:
    """Return the shapes of a line."""
    count = len(labels)
    places = [None if value is None else (panel.x(at, count), panel.y(value / most)) for at, value in enumerate(values)]
    parts = [_frame(panel, labels, most, unit), _path(places)]
    for place, value in zip(places, values, strict=True):
        if place is not None and value is not None:
            low = threshold is not None and value < threshold
            parts.append(circle(*place, 3, "low" if low else "dot"))
            if count <= 14:
                parts.append(text(place[0], place[1] - 7, _number(value), "middle"))
    if threshold is not None:
        y = panel.y(threshold / most)
        right = panel.width - _RIGHT
        parts.append(rule(_LEFT, right, y, "threshold"))
        parts.append(text(right, y - 4, f"at least {_number(threshold)}{unit}", "end", "threshold-label"))
    return "".join(parts)


def bars_panel(
    panel: Panel, labels: Sequence[str], series: Mapping[str, Sequence[float]], classes: Sequence[str]
) -> str:
    """Return the shapes of columns."""
    count = len(labels)
    sums = [sum(values[at] for values in series.values()) for at in range(count)]
    most = _ceiling(max([*sums, 1]))
    wide = min(0.7 * (panel.width - _LEFT - _RIGHT) / max(count, 1), 60)
    parts = [_frame(panel, labels, most, ""), _legend(panel, list(series), classes)]
    for at in range(count):
        x, below = panel.x(at, count) - wide / 2, 0.0
        for name, kind in zip(series, classes, strict=False):
            value = series[name][at]
            top, bottom = panel.y((below + value) / most), panel.y(below / most)
            if value:
                parts.append(rect(kind, x, top, wide, bottom - top))
            below += value
        if count <= 14 and sums[at]:
            parts.append(text(x + wide / 2, panel.y(sums[at] / most) - 4, _number(sums[at]), "middle"))
    return "".join(parts)


def document(
    panels: Sequence[str], height: int, title: str, description: str, *, width: int = WIDTH, standalone: bool = False
) -> str:
    """Put shapes into one drawing that says what it shows."""
    name = ' xmlns="http://www.w3.org/2000/svg"'
    style = f"<style>{STYLESHEET.strip()}</style>" if standalone else ""
    head = f'<svg{name} class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    return f"{head}<title>{escape(title)}</title><desc>{escape(description)}</desc>{style}{''.join(panels)}</svg>"


def described(labels: Sequence[str], values: Sequence[float | None], unit: str) -> str:
    """Say a series in words."""
    pairs = zip(labels, values, strict=True)
    return ", ".join(f"{label} {'none' if value is None else _number(value) + unit}".strip() for label, value in pairs)


def _frame(panel: Panel, labels: Sequence[str], most: float, unit: str) -> str:
    parts = [text(_LEFT, panel.top + 16, panel.title, "start", "title")]
    for share in (0.0, 0.5, 1.0):
        y = panel.y(share)
        parts.append(rule(_LEFT, panel.width - _RIGHT, y, "grid"))
        parts.append(text(_LEFT - 6, y + 4, f"{_number(most * share)}{unit.strip()}", "end", "quiet"))
    every = max(1, -(-len(labels) // 10))
    floor = panel.top + panel.height - 10
    places = range(0, len(labels), every)
    parts += [text(panel.x(at, len(labels)), floor, labels[at], "middle", "quiet") for at in places]
    return "".join(parts)


def _legend(panel: Panel, names: Sequence[str], classes: Sequence[str]) -> str:
    parts, x = [], float(panel.width - _RIGHT)
    for name, kind in reversed(list(zip(names, classes, strict=False))):
        x -= 6.5 * len(name) + 24
        parts.append(rect(kind, x, panel.top + 7, 10, 10))
        parts.append(text(x + 14, panel.top + 16, name, "start"))
    return "".join(parts)


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    """Return a line through the places there are, lifted where one is missing."""
    steps, drawing = [], False
    for place in places:
        if place is not None:
            steps.append(f"{'L' if drawing else 'M'}{place[0]:.1f} {place[1]:.1f}")
        drawing = place is not None
    return f'<path class="line" d="{"".join(steps)}"/>' if steps else ""


def text(x: float, y: float, words: str, anchor: str = "start", kind: str | None = None) -> str:
    """Return words at a place; `anchor` says which end of them stands there."""
    return f'<text{_class(kind)} x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}">{escape(words)}</text>'


def rule(left: float, right: float, y: float, kind: str | None = None) -> str:
    """Return a line from left to right."""
    return f'<line{_class(kind)} x1="{_short(left)}" x2="{_short(right)}" y1="{_short(y)}" y2="{_short(y)}"/>'


def rect(kind: str, x: float, y: float, width: float, height: float, *, radius: int = 0, title: str = "") -> str:
    """Return a rectangle; a title is shown while somebody points at it."""
    head = f'<rect class="{kind}" x="{_short(x)}" y="{_short(y)}" width="{_short(width)}" height="{_short(height)}"'
    round_corners = f' rx="{radius}"' if radius else ""
    return f"{head}{round_corners}><title>{escape(title)}</title></rect>" if title else f"{head}{round_corners}/>"


def circle(x: float, y: float, radius: float, kind: str | None = None) -> str:
    """Return a dot."""
    return f'<circle{_class(kind)} cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}"/>'


def _short(value: float) -> str:
    """Return a coordinate; a tenth is less than anybody sees."""
    return f"{value:.1f}".removesuffix(".0")


def _class(kind: str | None) -> str:
    return f' class="{kind}"' if kind else ""


def _ceiling(value: float) -> float:
    """Return an even round number that is as high, so that the middle of the scale is round too."""
    size = 10.0 ** math.floor(math.log10(value))
    return max(2.0, next(step * size for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * size >= value))


def _number(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:,.1f}".rstrip("0").rstrip(".") + "k"
    return f"{value:,.1f}".rstrip("0").rstrip(".")
