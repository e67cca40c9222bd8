"""Draws curves over two logarithmic axes as one SVG file, for the evidence pages. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 200, 20, 44

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676", "#E69F00", "#56B4E9", "#4B4B4B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line through points of positive coordinates. ours: drawn thicker."""

    name: str
    points: tuple[tuple[float, float], ...]
    ours: bool


def plot(curves: Sequence[Curve], *, x_words: str, y_words: str) -> str:
    """The picture. Raises ValueError without any point, or for one that has no logarithm."""
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    if not xs or min(*xs, *ys) <= 0:
        raise ValueError("a logarithmic plot needs points above zero")
    across = _Axis(low=min(xs), high=max(xs), start=LEFT, end=WIDTH - RIGHT)
    up = _Axis(low=min(ys), high=max(ys), start=HEIGHT - BOTTOM, end=TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for value in across.ticks():
        x = across.place(value)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM, colour="#dddddd", width=1))
        parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{value:g}", "middle"))
    for value in up.ticks():
        y = up.place(value)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, colour="#dddddd", width=1))
        parts.append(_text(LEFT - 6, y + 4, f"{value:g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_words, "middle"))
    parts.append(_text(LEFT, TOP - 6, y_words, "start"))
    labels = _spread_out([up.place(curve.points[-1][1]) for curve in curves])
    for index, (curve, label_y) in enumerate(zip(curves, labels, strict=True)):
        colour = _COLOURS[index % len(_COLOURS)]
        places = " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in curve.points)
        width = 3 if curve.ours else 1.5
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        parts += [
            f'<circle cx="{across.place(x):.1f}" cy="{up.place(y):.1f}" r="3" fill="{colour}"/>'
            for x, y in curve.points
        ]
        last_x = across.place(curve.points[-1][0])
        parts.append(
            _line(last_x + 4, up.place(curve.points[-1][1]), WIDTH - RIGHT + 8, label_y, colour=colour, width=0.7)
        )
        parts.append(_text(WIDTH - RIGHT + 12, label_y + 4, curve.name, "start", bold=curve.ours))
    parts.append("</svg>\n")
    return "\n".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """The pixel of a value."""
        span = math.log(self.high / self.low) or 1.0
        return self.start + (self.end - self.start) * math.log(value / self.low) / span

    def ticks(self) -> list[float]:
        """Powers of ten within the axis, and both ends."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        return sorted({10.0**power for power in range(first, last + 1)})


def _spread_out(places: Sequence[float], *, apart: float = 15.0) -> list[float]:
    """The same places, moved down where two are closer than a line of text."""
    moved = [0.0] * len(places)
    free = -math.inf
    for index in sorted(range(len(places)), key=places.__getitem__):
        moved[index] = max(places[index], free)
        free = moved[index] + apart
    return moved


def _line(x1: float, y1: float, x2: float, y2: float, *, colour: str, width: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222"{weight}>{escape(words)}</text>'
