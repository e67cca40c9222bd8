"""A search as one small SVG picture: each rate that was tried, when, and what came of it.

Presentation attributes only, as in charts; each state has a shape beside its colour, and the table below says the same.
Pure; search_view puts it on the page.
"""

from collections.abc import Iterator
from html import escape

from baseline_metrics.units import format_duration
from monitoring_logs.search_records import SearchStep, StepState
from results_summary import wording
from results_summary.capacity import LoadLevel, NoLevel
from results_summary.cleaning import clean
from results_summary.svg import BLUE, GREEN, GREY, PURPLE, VERMILION, label, line, rect

WIDTH, HEIGHT = 1240, 190
LEFT, RIGHT, TOP, BOTTOM = 104, 14, 22, 30
PLOT = WIDTH - LEFT - RIGHT
LANE = HEIGHT - TOP - BOTTOM
MARK_PX = 4.0

RATE_MIN = 1e-9
"""A search that tried nothing but a rate of zero has a scale, too."""

_COLOURS = {
    StepState.PASSED: GREEN,
    StepState.FAILED: VERMILION,
    StepState.EASED: PURPLE,
    StepState.GENERATOR: BLUE,
    StepState.UNFINISHED: GREY,
}


def search_svg(
    steps: tuple[SearchStep, ...], *, passing: LoadLevel | NoLevel, failing: LoadLevel | NoLevel, number: int
) -> str:
    """The picture; number tells several of one page apart. steps must not be empty."""
    assert steps
    start, end = steps[0].start_mono_s, max(step.end_mono_s for step in steps)
    length_s, highest = max(1.0, end - start), 1.08 * max(*(step.operations_per_s for step in steps), RATE_MIN)

    def x(at_mono_s: float) -> float:
        return LEFT + PLOT * min(1.0, max(0.0, (at_mono_s - start) / length_s))

    def y(per_s: float) -> float:
        return TOP + LANE * (1.0 - min(1.0, per_s / highest))

    parts: list[str] = []
    match passing, failing:
        case LoadLevel() as low, LoadLevel() as high:
            top, bottom = y(high.operations_per_s), y(low.operations_per_s)
            parts.append(rect(LEFT, top, PLOT, max(1.0, bottom - top), GREEN, opacity=0.18))
        case _:
            pass
    parts.append(line(LEFT, TOP + LANE, WIDTH - RIGHT, TOP + LANE, GREY))
    for step in steps:
        left, right, height = x(step.start_mono_s), x(step.end_mono_s), y(step.operations_per_s)
        words = f"{wording.rate(step.operations_per_s)}: {step.state.value}, {clean(step.reason)}"
        parts.append(f"<g><title>{escape(words)}</title>")
        parts.append(line(left, height, max(right, left + 1.0), height, _COLOURS[step.state], width=2.6))
        parts.append(_mark(step.state, (left + max(right, left + 1.0)) / 2, height))
        parts.append("</g>")
    parts.extend(_words(passing, failing, highest=highest, length_s=length_s))
    described = "; ".join(f"{wording.rate(step.operations_per_s)} {step.state.value}" for step in steps)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="search-{number}-title search-{number}-words" font-family="system-ui, sans-serif" font-size="11">'
    )
    return "\n".join(
        (
            opening,
            f'<title id="search-{number}-title">The rates that the search tried, over time</title>',
            f'<desc id="search-{number}-words">{escape(described)}. The table below says the same in text.</desc>',
            *parts,
            "</svg>",
        )
    )


def _words(
    passing: LoadLevel | NoLevel, failing: LoadLevel | NoLevel, *, highest: float, length_s: float
) -> Iterator[str]:
    yield label(0, TOP + 10, "rate", weight="600")
    yield label(0, TOP + 23, "arrivals asked", size=9.5, opacity=0.85)
    yield label(LEFT - 6, TOP + 5, wording.rate(highest / 1.08), anchor="end", size=10)
    yield label(LEFT - 6, TOP + LANE, "0", anchor="end", size=10)
    ends = [
        f"{words} {wording.rate(level.operations_per_s)}"
        for words, level in (("passes", passing), ("fails", failing))
        if isinstance(level, LoadLevel)
    ]
    if ends:
        yield label(LEFT + 4, 13, ", ".join(ends), weight="600")
    yield label(LEFT, HEIGHT - 10, f"{format_duration(length_s)} of searching")
    place = float(WIDTH - RIGHT)
    for state in reversed(StepState):
        yield label(place, HEIGHT - 10, state.value, anchor="end")
        place -= 7.0 * len(state.value) + 8
        yield _mark(state, place, HEIGHT - 14)
        place -= 14


def _mark(state: StepState, x: float, y: float) -> str:
    """Passed: a circle. Failed: a cross. Eased: a triangle. Generator: a square. Unfinished: an open circle."""
    colour = _COLOURS[state]
    match state:
        case StepState.PASSED:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{MARK_PX:g}" fill="{colour}"/>'
        case StepState.FAILED:
            one, other = (
                f"M{x - 4:.1f} {y - 4:.1f} L{x + 4:.1f} {y + 4:.1f}",
                f"M{x - 4:.1f} {y + 4:.1f} L{x + 4:.1f} {y - 4:.1f}",
            )
            return f'<path d="{one} {other}" fill="none" stroke="{colour}" stroke-width="2"/>'
        case StepState.EASED:
            return f'<path d="M{x - 4:.1f} {y - 4:.1f} H{x + 4:.1f} L{x:.1f} {y + 4:.1f} Z" fill="{colour}"/>'
        case StepState.GENERATOR:
            return rect(x - MARK_PX, y - MARK_PX, 2 * MARK_PX, 2 * MARK_PX, colour)
        case StepState.UNFINISHED:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="none" stroke="{colour}" stroke-width="1.6"/>'
