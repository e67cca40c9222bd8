"""The night as one SVG picture, drawn on the server, so that the report needs no script.

Only presentation attributes are used: a strict content security policy strips styles but keeps the colours. Each state
has a word or a shape beside its colour, gaps are hatched, and the phase table says the same in text. Pure; reporter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from baseline_metrics.health import KnownScore
from baseline_metrics.zones import zone_named
from results_summary import wording
from results_summary.cleaning import clean
from results_summary.findings import State
from results_summary.svg import BLUE, GREEN, GREY, PURPLE, VERMILION, label, line, rect
from results_summary.timeline import Cell, Missing, Spread, Timeline
from safety_monitoring.limits import Rung

WIDTH = 1240
LEFT = 104
RIGHT = 14
LABEL_HALF_WIDTH = 30  # of "23:59:59", with a little air
PLOT = WIDTH - LEFT - RIGHT
BAND_TOP, BAND_HEIGHT = 4, 20
LANE_GAP = 9
AXIS_HEIGHT = 34
LABEL_CHARACTER_PX = 6.6
"""Width of one character of an 11 px label, generously."""

TICKS_MAX = 13
_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_STATE_COLOUR = {State.PASS: GREEN, State.FAIL: VERMILION, State.UNKNOWN: GREY, State.NOT_JUDGED: GREY}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    top: float
    height: float
    highest: float

    def y(self, value: float) -> float:
        share = min(1.0, max(0.0, value / self.highest))
        return self.top + self.height * (1.0 - share)


def zone_of(name: str) -> ZoneInfo:
    """The zone of people's times; UTC when the record names one that does not exist."""
    try:
        return zone_named(name)
    except ZoneInfoNotFoundError:
        return zone_named("UTC")


def timeline_svg(night: Timeline, zone: ZoneInfo) -> str:
    """The picture, ready to stand in a page. All text from outside is cleaned and escaped here."""
    parts: list[str] = []
    top = float(BAND_TOP + BAND_HEIGHT + 6)
    lanes: dict[str, _Lane] = {}
    for name, height, highest in (
        (
            "load",
            62.0,
            max(_highest(night.achieved_per_s), *(point.per_s for item in night.asked for point in item.points), 0.001),
        ),
        ("p99", 50.0, max(_highest(night.response_s_p99), 0.001)),
        ("errors", 32.0, max(1.0, _highest(night.error_percent))),
        ("health", 34.0, 100.0),
        ("host", 46.0, 100.0),
        ("guardian", 16.0, 1.0),
    ):
        lanes[name] = _Lane(
            top=top, height=height, highest=_nice(highest) if name in {"load", "p99", "errors"} else highest
        )
        top += height + LANE_GAP
    height = top - LANE_GAP + AXIS_HEIGHT
    parts.extend(_bands(night, lanes["guardian"].top + lanes["guardian"].height))
    parts.extend(
        line(LEFT, lane.top + lane.height, WIDTH - RIGHT, lane.top + lane.height, GREY, opacity=0.35)
        for lane in lanes.values()
    )
    parts.extend(_load(night, lanes["load"]))
    parts.extend(_response(night, lanes["p99"]))
    parts.extend(_errors(night, lanes["errors"]))
    parts.extend(_health(night, lanes["health"]))
    parts.extend(_host(night, lanes["host"]))
    parts.extend(_guardian(night, lanes["guardian"]))
    parts.extend(_axis(night, zone, top - LANE_GAP, lanes["load"].top))
    return _document(night, zone, height, parts)


def _document(night: Timeline, zone: ZoneInfo, height: float, parts: list[str]) -> str:
    start, end = (
        datetime.fromtimestamp(at, UTC).astimezone(zone)
        for at in (night.start_utc_s, night.start_utc_s + night.length_s)
    )
    described = "; ".join(
        f"{band.number} {clean(band.name, characters_max=40)} {band.state.value}" for band in night.bands
    )
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        'aria-labelledby="night-title night-words" font-family="system-ui, sans-serif" font-size="11">'
    )
    title = f"The night from {start:%Y-%m-%d %H:%M} to {end:%H:%M}, {escape(wording.zone(zone.key, end.tzname() or zone.key))}"
    words = (
        "Load, response time, errors, health, host and guardian over time. "
        f"Phases: {escape(described) or 'none'}. The tables below say the same in text."
    )
    hatching = (
        '<defs><pattern id="gap" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<line x1="0" y1="0" x2="0" y2="6" stroke="{GREY}" stroke-width="2" stroke-opacity="0.55"/></pattern></defs>'
    )
    return "\n".join(
        (
            opening,
            f'<title id="night-title">{title}</title>',
            f'<desc id="night-words">{words}</desc>',
            hatching,
            *parts,
            "</svg>",
        )
    )


def _bands(night: Timeline, bottom: float) -> Iterator[str]:
    for band in night.bands:
        left, right = _x(night, band.start_s), _x(night, band.end_s)
        width = max(1.0, right - left)
        colour = _STATE_COLOUR[band.state]
        title = f"{band.number} {clean(band.name, characters_max=60)}: {band.state.value}, {clean(band.words)}"
        yield f"<g><title>{escape(title)}</title>"
        yield rect(left, BAND_TOP, width, BAND_HEIGHT, colour, opacity=0.22)
        yield rect(left, BAND_TOP, width, 3, colour)
        yield rect(left, BAND_TOP + BAND_HEIGHT, width, bottom - BAND_TOP - BAND_HEIGHT, colour, opacity=0.05)
        words = _band_label(band.number, clean(band.name, characters_max=60), band.state, width)
        if words:
            yield label(left + width / 2, BAND_TOP + 15, words, anchor="middle")
        yield "</g>"


def _band_label(number: int, name: str, state: State, width: float) -> str:
    """As much as fits: number, name and word; at least the number, and a mark when the phase did not pass."""
    mark = {State.PASS: "", State.FAIL: " FAIL", State.UNKNOWN: " ?", State.NOT_JUDGED: " ?"}[state]
    for words in (f"{number} {name}{mark}", f"{number}{mark}", str(number)):
        if len(words) * LABEL_CHARACTER_PX <= width - 4:
            return words
    return ""


def _load(night: Timeline, lane: _Lane) -> Iterator[str]:
    yield from _labels(lane, "load", wording.rate(lane.highest), "asked, achieved")
    yield from _gaps(night, night.achieved_per_s, lane)
    yield from _area(night, night.achieved_per_s, lane, BLUE)
    yield from _curve(night, night.achieved_per_s, lane, BLUE)
    for item in night.asked:
        path = " ".join(
            f"{'L' if index else 'M'}{_x(night, point.at_s):.1f} {lane.y(point.per_s):.1f}"
            for index, point in enumerate(item.points)
        )
        yield f'<path d="{path}" fill="none" stroke="{PURPLE}" stroke-width="1.3" stroke-dasharray="4 3"/>'


def _response(night: Timeline, lane: _Lane) -> Iterator[str]:
    yield from _labels(lane, "response", wording.seconds(lane.highest), "p99, p50")
    yield from _gaps(night, night.response_s_p99, lane)
    yield from _curve(night, night.response_s_p50, lane, GREY)
    yield from _curve(night, night.response_s_p99, lane, BLUE)


def _errors(night: Timeline, lane: _Lane) -> Iterator[str]:
    yield from _labels(lane, "errors", wording.percent(lane.highest), "worst, mean")
    yield from _gaps(night, night.error_percent, lane)
    yield from _area(night, night.error_percent, lane, VERMILION)
    yield from _curve(night, night.error_percent, lane, VERMILION)


def _health(night: Timeline, lane: _Lane) -> Iterator[str]:
    yield from _labels(lane, "health", "100", "at anchors")
    end_s = night.length_s
    for index, scored in enumerate(night.health):
        until = night.health[index + 1].at_s if index + 1 < len(night.health) else end_s
        left, right = _x(night, max(0.0, scored.at_s)), _x(night, until)
        if isinstance(scored.score, KnownScore):
            y = lane.y(scored.score.value)
            yield rect(left, y, right - left, lane.top + lane.height - y, GREEN, opacity=0.18)
            yield line(left, y, right, y, GREEN, width=1.6)
        else:
            yield _hatched(left, right, lane, "health unknown")


def _host(night: Timeline, lane: _Lane) -> Iterator[str]:
    yield from _labels(lane, "host", "100 %", "CPU, memory")
    yield from _gaps(night, night.cpu_percent, lane)
    yield from _area(night, night.cpu_percent, lane, BLUE)
    yield from _curve(night, night.cpu_percent, lane, BLUE)
    yield from _curve(night, night.memory_percent, lane, PURPLE, dashes="5 2")


def _guardian(night: Timeline, lane: _Lane) -> Iterator[str]:
    yield label(0, lane.top + 12, "guardian", weight="600")
    if not night.marks:
        yield label(LEFT + 4, lane.top + 12, "no move", opacity=0.8)
    middle = lane.top + lane.height / 2
    for mark in night.marks:
        x = _x(night, mark.at_s)
        yield f"<g><title>{escape(clean(f'{mark.move.rung.name}: {mark.move.why}'))}</title>{_shape(mark.move.rung, x, middle)}</g>"


def _shape(rung: Rung, x: float, y: float) -> str:
    """Ease: a triangle. Pause: two bars. Stop: a square. Clear: an open circle."""
    match rung:
        case Rung.EASE:
            return f'<path d="M{x - 4:.1f} {y - 4:.1f} H{x + 4:.1f} L{x:.1f} {y + 4:.1f} Z" fill="{PURPLE}"/>'
        case Rung.PAUSE:
            return rect(x - 4, y - 5, 3, 10, PURPLE) + rect(x + 1, y - 5, 3, 10, PURPLE)
        case Rung.STOP_PHASE | Rung.STOP_CAMPAIGN:
            return rect(x - 5, y - 5, 10, 10, VERMILION)
        case Rung.CLEAR:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="none" stroke="{GREEN}" stroke-width="1.6"/>'


def _axis(night: Timeline, zone: ZoneInfo, top: float, grid_top: float) -> Iterator[str]:
    yield line(LEFT, top, WIDTH - RIGHT, top, GREY)
    step = next((s for s in _TICK_STEPS_S if night.length_s / s <= TICKS_MAX), _TICK_STEPS_S[-1])
    start = datetime.fromtimestamp(night.start_utc_s, UTC).astimezone(zone)
    offset = start.utcoffset()
    shift_s = offset.total_seconds() if offset is not None else 0.0
    tick = -(-(night.start_utc_s + shift_s) // step) * step - shift_s
    pattern = "%H:%M:%S" if step < 60 else "%H:%M"
    for _ in range(TICKS_MAX + 2):
        if tick > night.start_utc_s + night.length_s:
            break
        x = _x(night, tick - night.start_utc_s)
        local = datetime.fromtimestamp(tick, UTC).astimezone(zone)
        yield line(x, grid_top, x, top, GREY, opacity=0.14)
        yield line(x, top, x, top + 4, GREY)
        near_the_edge = x > WIDTH - LABEL_HALF_WIDTH
        yield label(x, top + 15, f"{local:{pattern}}", anchor="end" if near_the_edge else "middle")
        tick += step
    end = datetime.fromtimestamp(night.start_utc_s + night.length_s, UTC).astimezone(zone)
    names = " to ".join(dict.fromkeys((start.tzname() or "", end.tzname() or "")))
    words = f"local time {wording.zone(zone.key, names)}, from {start:%Y-%m-%d}"
    for mark in night.time_marks:
        x = _x(night, mark.at_s)
        moved = line(x, grid_top, x, top, VERMILION, width=1.6, dashes="3 3")
        yield f"<g><title>{escape(clean(mark.text))}</title>{moved}</g>"
    if night.time_marks:
        words += f"; {wording.plural(len(night.time_marks), 'broken line')}: the host slept or its clock was set"
    if night.marks_left_out:
        words += f"; {night.marks_left_out} further moves of the guardian are not drawn"
    yield label(LEFT, top + 29, words)
    yield from _legend(top + 29)


def _legend(y: float) -> Iterator[str]:
    """At the right end, from right to left."""
    x = WIDTH - RIGHT
    yield label(x, y, "no data", anchor="end")
    yield f'<rect x="{x - 62:.1f}" y="{y - 9:.1f}" width="16" height="10" fill="url(#gap)" stroke="{GREY}" stroke-width="0.5"/>'
    yield label(x - 78, y, "memory, asked", anchor="end")
    yield line(x - 196, y - 4, x - 170, y - 4, PURPLE, width=1.6, dashes="5 2")
    yield label(x - 208, y, "ease", anchor="end")
    yield _shape(Rung.EASE, x - 240, y - 4)
    yield label(x - 254, y, "pause", anchor="end")
    yield _shape(Rung.PAUSE, x - 294, y - 4)
    yield label(x - 308, y, "stop", anchor="end")
    yield _shape(Rung.STOP_PHASE, x - 340, y - 4)
    yield label(x - 356, y, "clear", anchor="end")
    yield _shape(Rung.CLEAR, x - 390, y - 4)


def _labels(lane: _Lane, name: str, highest: str, words: str) -> Iterator[str]:
    yield label(0, lane.top + 10, name, weight="600")
    yield label(0, lane.top + 23, words, size=9.5, opacity=0.85)
    yield label(LEFT - 6, lane.top + 9, highest, anchor="end", size=10)


def _gaps(night: Timeline, cells: tuple[Cell, ...], lane: _Lane) -> Iterator[str]:
    for first, last in _runs(cells, lambda cell: isinstance(cell, Missing)):
        yield _hatched(_x(night, first * night.column_s), _x(night, (last + 1) * night.column_s), lane, "no data")


def _hatched(left: float, right: float, lane: _Lane, words: str) -> str:
    return (
        f'<rect x="{left:.1f}" y="{lane.top:.1f}" width="{max(1.0, right - left):.1f}" height="{lane.height:.1f}" '
        f'fill="url(#gap)"><title>{escape(words)}</title></rect>'
    )


def _area(night: Timeline, cells: tuple[Cell, ...], lane: _Lane, colour: str) -> Iterator[str]:
    """The band between least and greatest value."""
    for first, last in _runs(cells, lambda cell: isinstance(cell, Spread)):
        upper = [(index, cell.greatest) for index, cell in _spreads(cells, first, last)]
        lower = [(index, cell.least) for index, cell in reversed(list(_spreads(cells, first, last)))]
        points = " ".join(f"{_middle(night, index):.1f},{lane.y(value):.1f}" for index, value in (*upper, *lower))
        yield f'<polygon points="{points}" fill="{colour}" fill-opacity="0.22"/>'


def _curve(
    night: Timeline,
    cells: tuple[Cell, ...],
    lane: _Lane,
    colour: str,
    *,
    dashes: str = "",
) -> Iterator[str]:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    for first, last in _runs(cells, lambda cell: isinstance(cell, Spread)):
        points = [
            f"{_middle(night, index):.1f},{lane.y(cell.mean):.1f}" for index, cell in _spreads(cells, first, last)
        ]
        if len(points) == 1:  # a lone column would be an invisible line
            x, y = points[0].split(",")
            yield f'<circle cx="{x}" cy="{y}" r="1.2" fill="{colour}"/>'
        else:
            yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.4"{dashed}/>'


def _spreads(cells: tuple[Cell, ...], first: int, last: int) -> Iterator[tuple[int, Spread]]:
    for index in range(first, last + 1):
        cell = cells[index]
        if isinstance(cell, Spread):
            yield index, cell


def _runs(cells: tuple[Cell, ...], wanted: Callable[[Cell], bool]) -> Iterator[tuple[int, int]]:
    first = -1
    for index, cell in enumerate(cells):
        if wanted(cell):
            first = index if first < 0 else first
        elif first >= 0:
            yield first, index - 1
            first = -1
    if first >= 0:
        yield first, len(cells) - 1


def _highest(cells: tuple[Cell, ...]) -> float:
    return max((cell.greatest for cell in cells if isinstance(cell, Spread)), default=0.0)


def _nice(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten."""
    power = 1.0
    while value > 10 * power:
        power *= 10
    while value <= power:
        power /= 10
    return next(
        (factor * power for factor in (1, 1.5, 2, 3, 4, 5, 6, 8) if value <= factor * power * 1.0001), 10 * power
    )


def _x(night: Timeline, at_s: float) -> float:
    return LEFT + PLOT * min(1.0, max(0.0, at_s / night.length_s))


def _middle(night: Timeline, column: int) -> float:
    return _x(night, (column + 0.5) * night.column_s)
