"""SVG charts, for pages and for standalone files. Pure functions.

Elements have classes and no style attributes, so that charts can be inlined under a strict Content-Security-Policy; a
standalone chart includes a stylesheet for light and dark color schemes. For accessibility, charts have a title and a
description with the values.
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
    """Position, size and title of a chart."""

    title: str
    top: int = 0
    width: int = WIDTH
    height: int = HEIGHT

    def x(self, index: float, count: int) -> float:
        """Return the x coordinate of the center of a column."""
        return _LEFT + (index + 0.5) * (self.width - _LEFT - _RIGHT) / max(count, 1)

    def y(self, share: float) -> float:
        """Return the y coordinate of a value between 0 and 1."""
        floor = self.top + self.height - _BOTTOM
        return floor - share * (self.height - _TOP - _BOTTOM)


def line_panel(
    panel: Panel,
    labels: Sequence[str],
    values: Sequence[float | None],
    *,
    maximum: float,
    unit: str,
    threshold: float | None = None,
) -> str:
    """Return the elements of a line chart."""
    count = len(labels)
    points = [
        None if value is None else (panel.x(at, count), panel.y(value / maximum)) for at, value in enumerate(values)
    ]
    parts = [_frame(panel, labels, maximum, unit), _path(points)]
    for point, value in zip(points, values, strict=True):
        if point is not None and value is not None:
            low = threshold is not None and value < threshold
            parts.append(circle(*point, 3, "low" if low else "dot"))
            if count <= 14:
                parts.append(text(point[0], point[1] - 7, _number(value), "middle"))
    if threshold is not None:
        y = panel.y(threshold / maximum)
        right = panel.width - _RIGHT
        parts.append(rule(_LEFT, right, y, "threshold"))
        parts.append(text(right, y - 4, f"at least {_number(threshold)}{unit}", "end", "threshold-label"))
    return "".join(parts)


def bars_panel(
    panel: Panel, labels: Sequence[str], series: Mapping[str, Sequence[float]], classes: Sequence[str]
) -> str:
    """Return the elements of a stacked bar chart."""
    count = len(labels)
    sums = [sum(values[at] for values in series.values()) for at in range(count)]
    maximum = _ceiling(max([*sums, 1]))
    wide = min(0.7 * (panel.width - _LEFT - _RIGHT) / max(count, 1), 60)
    parts = [_frame(panel, labels, maximum, ""), _legend(panel, list(series), classes)]
    for at in range(count):
        x, below = panel.x(at, count) - wide / 2, 0.0
        for name, kind in zip(series, classes, strict=False):
            value = series[name][at]
            top, bottom = panel.y((below + value) / maximum), panel.y(below / maximum)
            if value:
                parts.append(rect(kind, x, top, wide, bottom - top))
            below += value
        if count <= 14 and sums[at]:
            parts.append(text(x + wide / 2, panel.y(sums[at] / maximum) - 4, _number(sums[at]), "middle"))
    return "".join(parts)


def document(
    panels: Sequence[str], height: int, title: str, description: str, *, width: int = WIDTH, standalone: bool = False
) -> str:
    """Return an SVG document with a title and a description."""
    name = ' xmlns="http://www.w3.org/2000/svg"'
    style = f"<style>{STYLESHEET.strip()}</style>" if standalone else ""
    head = f'<svg{name} class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    return f"{head}<title>{escape(title)}</title><desc>{escape(description)}</desc>{style}{''.join(panels)}</svg>"


def described(labels: Sequence[str], values: Sequence[float | None], unit: str) -> str:
    """Return a series as text."""
    pairs = zip(labels, values, strict=True)
    return ", ".join(f"{label} {'none' if value is None else _number(value) + unit}".strip() for label, value in pairs)


def _frame(panel: Panel, labels: Sequence[str], maximum: float, unit: str) -> str:
    parts = [text(_LEFT, panel.top + 16, panel.title, "start", "title")]
    for share in (0.0, 0.5, 1.0):
        y = panel.y(share)
        parts.append(rule(_LEFT, panel.width - _RIGHT, y, "grid"))
        parts.append(text(_LEFT - 6, y + 4, f"{_number(maximum * share)}{unit.strip()}", "end", "quiet"))
    every = max(1, -(-len(labels) // 10))
    floor = panel.top + panel.height - 10
    shown = range(0, len(labels), every)
    parts += [text(panel.x(at, len(labels)), floor, labels[at], "middle", "quiet") for at in shown]
    return "".join(parts)


def _legend(panel: Panel, names: Sequence[str], classes: Sequence[str]) -> str:
    parts, x = [], float(panel.width - _RIGHT)
    for name, kind in reversed(list(zip(names, classes, strict=False))):
        x -= 6.5 * len(name) + 24
        parts.append(rect(kind, x, panel.top + 7, 10, 10))
        parts.append(text(x + 14, panel.top + 16, name, "start"))
    return "".join(parts)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Return a line through the points, interrupted at missing ones."""
    steps, drawing = [], False
    for point in points:
        if point is not None:
            steps.append(f"{'L' if drawing else 'M'}{point[0]:.1f} {point[1]:.1f}")
        drawing = point is not None
    return f'<path class="line" d="{"".join(steps)}"/>' if steps else ""


def text(x: float, y: float, content: str, anchor: str = "start", kind: str | None = None) -> str:
    """Return a text element; `anchor` is its `text-anchor`."""
    return f'<text{_class(kind)} x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}">{escape(content)}</text>'


def rule(left: float, right: float, y: float, kind: str | None = None) -> str:
    """Return a horizontal line."""
    return f'<line{_class(kind)} x1="{_short(left)}" x2="{_short(right)}" y1="{_short(y)}" y2="{_short(y)}"/>'


def rect(kind: str, x: float, y: float, width: float, height: float, *, radius: int = 0, title: str = "") -> str:
    """Return a rectangle; the title is its tooltip."""
    head = f'<rect class="{kind}" x="{_short(x)}" y="{_short(y)}" width="{_short(width)}" height="{_short(height)}"'
    round_corners = f' rx="{radius}"' if radius else ""
    return f"{head}{round_corners}><title>{escape(title)}</title></rect>" if title else f"{head}{round_corners}/>"


def circle(x: float, y: float, radius: float, kind: str | None = None) -> str:
    """Return a circle."""
    return f'<circle{_class(kind)} cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}"/>'


def _short(value: float) -> str:
    """Format a coordinate with at most one decimal place."""
    return f"{value:.1f}".removesuffix(".0")


def _class(kind: str | None) -> str:
    return f' class="{kind}"' if kind else ""


def _ceiling(value: float) -> float:
    """Return a round upper bound of the scale whose half is round too."""
    size = 10.0 ** math.floor(math.log10(value))
    return max(2.0, next(step * size for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * size >= value))


def _number(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:,.1f}".rstrip("0").rstrip(".") + "k"
    return f"{value:,.1f}".rstrip("0").rstrip(".")
