"""The planned night for people to read: every stretch with its local times, what was scaled or cut, which gates can decide.

Pure; the ``plan`` command prints it.
"""

import textwrap
from typing import assert_never

from baseline_metrics.units import format_bytes, format_duration, format_rate
from campaign.planned_night import GateForecast, PlannedNight, TimelineKind, TimelineSegment
from campaign.window import local_time
from monitoring_logs.load_orders import MemoryLoad, NoSearch, PacedByRate, SearchOrder
from monitoring_logs.records import PhaseOrder
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Paced,
    RampRate,
    RateShape,
    ReplayRate,
    SawtoothRate,
    SineRate,
    SpikeRate,
    StepRate,
    Thinking,
    Unpaced,
)

WIDTH_MIN = 60

_LOAD_WIDTH = 17
"""Connections and pace, in the table."""

_SHORT_NIGHT_S = 3600.0
"""Below an hour people want to see seconds."""


def timeline_text(planned: PlannedNight, *, width: int = 80) -> str:
    """Several lines without a newline at the end. width: of the terminal, columns; wrapped where sentences are long."""
    width = max(width, WIDTH_MIN)
    lines = [*_wrapped(_headline(planned), width, indent=0), ""]
    lines.extend(_timeline(planned))
    lines.append("")
    for note in planned.notes:
        lines.extend(_wrapped(f"{note.kind.value + ':':<11}{note.text}", width, indent=11))
    lines.append("")
    lines.append("gates       enough samples?")
    for forecast in planned.forecasts:
        lines.extend(_wrapped(_forecast_line(forecast), width, indent=12))
    return "\n".join(line.rstrip() for line in lines)


def _headline(planned: PlannedNight) -> str:
    order = planned.order
    running = [phase for phase in order.phases if not phase.cut]
    word = "rehearsal" if order.rehearsal else "night"
    return (
        f"{order.name}: a {word} of {format_duration(planned.length_s)}, {len(running)} of {len(order.phases)} phases, "
        f"{planned.workers} load {'process' if planned.workers == 1 else 'processes'}, target {', '.join(order.targets)}"
    )


def _timeline(planned: PlannedNight) -> list[str]:
    zone = planned.order.zone
    start_utc_s = planned.order.planned_start_utc_s
    clock = "%H:%M:%S" if planned.length_s < _SHORT_NIGHT_S else "%H:%M"
    phases = {phase.name: phase for phase in planned.order.phases if not phase.cut}
    lines = [f"{'':<15}{'lasts':>11}  {'what':<23} {'connections, pace':>17} operations"]
    offset = ""
    for segment in planned.segments:
        if segment.kind is TimelineKind.HANDOVER:
            continue
        local = local_time(start_utc_s + segment.start_offset_s, zone)
        # The zone's abbreviation once, and again where the clock was changed in between.
        shown = f"{local:%Z}" if f"{local:%Z}" != offset else ""
        when = "" if segment.kind is TimelineKind.RESERVE else f"{local.strftime(clock)} {shown}"
        lines.append(
            f"{when:<15}{format_duration(segment.duration_s):>11}  {_label(segment):<23} "
            f"{_load_words(planned, segment, phases)}"
        )
        if segment.kind is TimelineKind.PHASE and isinstance(held := phases[segment.label].memory, MemoryLoad):
            lines.append(f"{'':<15}{'':>11}  {_memory(held)}")
        offset = f"{local:%Z}"
    end = local_time(start_utc_s + planned.length_s, zone)
    closes = local_time(planned.order.window_end_utc_s, zone)
    lines.append(f"{end.strftime(clock):<15}{'':>11}  end; the window closes at {closes.strftime(clock)} {closes:%Z}")
    return lines


def _memory(load: MemoryLoad) -> str:
    return (
        f"  holds {format_bytes(load.size_bytes)} of memory, which rise by {format_bytes(load.rise_bytes_per_s)}/s "
        f"for {format_duration(load.rise_s)}"
    )


def _label(segment: TimelineSegment) -> str:
    return "  search of the highest" if segment.kind is TimelineKind.SEARCH else segment.label


def _load_words(planned: PlannedNight, segment: TimelineSegment, phases: dict[str, PhaseOrder]) -> str:
    if segment.kind is TimelineKind.ANCHOR:
        anchor = planned.order.anchor
        return _load(anchor.connections, anchor.operations_per_s, anchor.operations_expected)
    if segment.kind is TimelineKind.PHASE:
        return _phase_load(phases[segment.label])
    if segment.kind is TimelineKind.SEARCH:
        return _search(phases[segment.label].search)
    return ""


def _phase_load(phase: PhaseOrder) -> str:
    match phase.pace:
        case Paced() | PacedByRate():
            return _load(phase.connections, phase.operations_per_s, phase.operations_expected)
        case Unpaced():
            return f"{f'{phase.connections} x unpaced':>{_LOAD_WIDTH}} {f'>= {phase.operations_expected}':>10}"
        case Thinking(seconds_min=low, seconds_max=high):
            think = f"{phase.connections} x think {format_duration((low + high) / 2.0)}"
            return f"{think:>{_LOAD_WIDTH}} {f'>= {phase.operations_expected}':>10}"
        case Arrivals(shape=shape):
            return f"{_arrivals(shape):>{_LOAD_WIDTH}} {phase.operations_expected:>10}"
        case _:
            assert_never(phase.pace)


def _arrivals(shape: RateShape) -> str:
    """The rates that an open model goes through, short enough for a column."""
    match shape:
        case ConstantRate(per_s=per_s):
            rates = f"{per_s:g}/s"
        case RampRate(from_per_s=low, to_per_s=high) | SawtoothRate(from_per_s=low, to_per_s=high):
            rates = f"{low:g}-{high:g}/s"
        case StepRate(from_per_s=low, to_per_s=high):
            rates = f"{low:g}-{high:g}/s"
        case SpikeRate(base_per_s=low, peak_per_s=high):
            rates = f"{low:g}, {high:g}/s"
        case SineRate(mean_per_s=mean, amplitude_per_s=amplitude):
            rates = f"{mean - amplitude:g}-{mean + amplitude:g}/s"
        case ReplayRate():
            return "replay"
        case _:
            assert_never(shape)
    words = f"arrivals {rates}"
    return words if len(words) <= _LOAD_WIDTH else rates


def _search(search: NoSearch | SearchOrder) -> str:
    assert isinstance(search, SearchOrder), "a phase that searches nothing has no such stretch"
    return f"{f'{search.start_per_s:g} to {search.per_s_max:,.0f}/s':>{_LOAD_WIDTH}}"


def _load(connections: int, operations_per_s: float, expected: int) -> str:
    return f"{connections:>8} x {format_rate(operations_per_s):<6} {expected:>10}"


def _forecast_line(forecast: GateForecast) -> str:
    if not forecast.enough:
        return f"{'':<2}{'no':<4}{forecast.subject}, {forecast.gates}: {forecast.reason}"
    return (
        f"{'':<2}{'yes':<4}{forecast.subject}, {forecast.gates}: {forecast.samples_expected} "
        f"of {forecast.samples_needed} needed"
    )


def _wrapped(text: str, width: int, *, indent: int) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    ) or [""]
