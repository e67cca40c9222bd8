"""A night compressed into minutes: all planned durations scaled together, as far as every gate can still be decided.

Pace, timeouts, criteria and safety are never scaled, so a load needs its time to make enough operations; where the time
given is too short for that, the answer is the arithmetic. Pure; the planner uses it.
"""

import dataclasses
import math

from baseline_metrics.units import format_duration
from campaign.fitting import SAMPLES_NEEDED, DoesNotFit, Fitted, Part, duration_for, fit
from campaign.full_night import (
    FullNight,
    NightRequest,
    conclude_s,
    full_shape,
    option_text,
    overhead_s,
    phase_shapes,
    rescaled,
    rest_s,
    sample_arithmetic,
)
from campaign.plan import Plan
from campaign.planned_night import Note, NoteKind, PlanRefused
from campaign.planned_shape import NightShape

IDLE_S_MIN = 2.5
"""Three readings at the default period of 1 s."""

LOAD_S_MIN = 2.0
"""The shortest anchor or phase: two whole windows of one second."""

COOLDOWN_S_MIN = 1.0
"""A compressed cool-down below a second would cool nothing: there is none then."""

SCALE_SUGGESTED_MAX = 64

COMPRESS_STEPS_S = ((600.0, 30.0), (math.inf, 60.0))
"""Suggested lengths are round: half minutes up to ten minutes, whole minutes above."""

SLACK_SHARE = 0.05
"""Left free at the end: a busy machine takes longer to get workers ready than an idle one, and a phase that is late is
cut short."""


def compress(
    plan: Plan, request: NightRequest, full: FullNight, *, to_s: float, scale: float
) -> tuple[NightShape, list[Note]] | PlanRefused:
    """Scale all planned durations of the fitted night into the time given."""
    if to_s >= full.length_s:
        text = (
            f"--compress {format_duration(to_s)} is not shorter than the night itself, {format_duration(full.length_s)}"
        )
        return PlanRefused(reasons=(f"{text}; leave it out, or write less",))
    parts = _compressed_parts(plan, request, full)
    available_s = to_s * (1.0 - SLACK_SHARE) - overhead_s(full.running, length_s=to_s)
    fitted = fit(parts, available_s=available_s)
    if isinstance(fitted, DoesNotFit):
        return PlanRefused(reasons=_too_short(request, full, parts, to_s=to_s, available_s=available_s, scale=scale))
    idle_s, anchor_s, rest_s, cooldown_s, *durations_s = fitted.durations_s
    shape = dataclasses.replace(
        full_shape(request, full),
        idle_s=idle_s,
        anchor_s=anchor_s,
        rest_s=rest_s,
        cooldown_s=cooldown_s if cooldown_s >= COOLDOWN_S_MIN else 0.0,
        conclude_s=conclude_s(to_s),
        phases=phase_shapes(request, full, tuple(durations_s)),
        compressed_to_s=to_s,
    )
    return shape, compressed_notes(request, full, fitted, to_s=to_s)


SHRUNK_S_MIN = 0.1
"""A load that lasts no time at all has no rate: when the overhead alone is longer than the night, the arithmetic is made with
this."""


def _compressed_parts(plan: Plan, request: NightRequest, full: FullNight) -> tuple[Part, ...]:
    """Idle baseline, anchors, rests, cool-down, then the phases: what is wanted of each, and what it needs at least."""
    count = len(full.running)
    anchor_floor_s = max(LOAD_S_MIN, duration_for(request.anchor_load, request.ramp, operations=SAMPLES_NEEDED))
    return (
        Part(count=1, wanted_s=plan.baseline.idle_s, floor_s=min(IDLE_S_MIN, plan.baseline.idle_s)),
        Part(count=count + 1, wanted_s=plan.anchor.duration_s, floor_s=anchor_floor_s),
        Part(count=max(0, count - 1), wanted_s=rest_s(plan), floor_s=0.0),
        Part(count=1, wanted_s=plan.cooldown_s, floor_s=0.0),
        *(
            Part(count=1, wanted_s=duration_s, floor_s=max(LOAD_S_MIN, candidate.sample_s))
            for candidate, duration_s in zip(full.running, full.durations_s, strict=True)
        ),
    )


def _too_short(
    request: NightRequest, full: FullNight, parts: tuple[Part, ...], *, to_s: float, available_s: float, scale: float
) -> tuple[str, ...]:
    """The arithmetic of every load that would make too few operations, and the two ways out."""
    wanted_s = sum(part.count * part.wanted_s for part in parts)
    factor = max(0.0, available_s) / wanted_s
    loads = [
        ("the anchor load", request.anchor_load, request.plan.anchor.duration_s),
        *(
            (f"phase {candidate.phase.name}", candidate.load, duration_s)
            for candidate, duration_s in zip(full.running, full.durations_s, strict=True)
        ),
    ]
    reasons = []
    for name, load, duration_s in loads:
        shrunk_s = max(SHRUNK_S_MIN, round(duration_s * factor, 1))
        if load.operations(ramp_s=request.ramp.of(shrunk_s), duration_s=shrunk_s) < SAMPLES_NEEDED:
            reasons.append(sample_arithmetic(name, load, request.ramp, shrunk_s))
    overhead = overhead_s(full.running, length_s=to_s)
    least_s = sum(part.count * part.floor_s for part in parts)
    reasons.append(
        f"--compress {format_duration(to_s)} is too short: {format_duration(least_s)} for the shortest loads that decide "
        f"their gates + {format_duration(overhead)} for start, stop drill, handovers and report = "
        f"{format_duration(least_s + overhead)}, and {100 * SLACK_SHARE:g} % of the time given stays free; {_ways_out(request, full, to_s=to_s, scale=scale)}"
    )
    return tuple(reasons)


def _ways_out(request: NightRequest, full: FullNight, *, to_s: float, scale: float) -> str:
    enough_s = _enough_s(request, full)
    ways = [f"use --compress {option_text(enough_s)}"] if enough_s < full.length_s else ["leave --compress out"]
    for factor in range(2, SCALE_SUGGESTED_MAX + 1):
        larger = rescaled(request, scale * factor)
        running = tuple(larger.candidates[candidate.index] for candidate in full.running)
        if _enough_s(larger, dataclasses.replace(full, running=running), rounded=False) <= to_s:
            ways.append(f"--scale {scale * factor:g}")
            break
    return " or ".join(ways)


def _enough_s(request: NightRequest, full: FullNight, *, rounded: bool = True) -> float:
    """The shortest compressed night that decides its gates, rounded up to something that one would type."""
    least_s = sum(part.count * part.floor_s for part in _compressed_parts(request.plan, request, full))
    needed_s = least_s / (1.0 - SLACK_SHARE)
    for _ in range(2):  # the report's share depends on the length that it is part of
        needed_s = (least_s + overhead_s(full.running, length_s=needed_s)) / (1.0 - SLACK_SHARE)
    if not rounded:
        return needed_s
    step_s = next(step_s for below_s, step_s in COMPRESS_STEPS_S if needed_s <= below_s)
    return math.ceil(needed_s / step_s) * step_s


def compressed_notes(request: NightRequest, full: FullNight, fitted: Fitted, *, to_s: float) -> list[Note]:
    """What the compression did to the parts of the night, in words."""
    notes = [
        Note(
            kind=NoteKind.REHEARSAL,
            text=f"compressed from {format_duration(full.length_s)} to {format_duration(to_s)}: a REHEARSAL; pace, "
            "timeouts, criteria and safety stay as they are, drift gates are not judged",
        )
    ]
    names = [candidate.phase.name for candidate in full.running]
    wanted_s = [request.plan.anchor.duration_s, *full.durations_s]
    got_s = [fitted.durations_s[1], *fitted.durations_s[4:]]
    kept = [
        f"{name} {format_duration(got)}"
        for name, wanted, got in zip(["each anchor", *names], wanted_s, got_s, strict=True)
        if wanted * fitted.factor < got - 0.1
    ]
    if kept:
        text = f"kept longer, to make {SAMPLES_NEEDED} operations or last {LOAD_S_MIN:g} s; the others give way: "
        notes.append(Note(kind=NoteKind.SAMPLES, text=text + ", ".join(kept)))
    return notes
