"""Memory loads at plan time: what they become, and every refusal with its arithmetic, just below, at and above."""

from dataclasses import replace

import pytest

from campaign.plan_problems import PlanError
from campaign.planned_memory import (
    CONNECTION_BYTES,
    NOT_LOOKED_AT,
    OURS_BYTES,
    REACTION_S,
    HostMemory,
    HostMemoryUnknown,
    reaction_bytes,
)
from campaign.planned_night import NotCompressed, PlannedNight, PlanRefused
from campaign.planner import fit_night
from campaign.preflight_host import memory_forecast_bytes
from campaign.timeline_text import timeline_text
from monitoring_logs.load_orders import NO_MEMORY_LOAD, MemoryLoad
from monitoring_logs.records import GateKind
from tests.support.plans import TARGET, loaded

MIB = 1 << 20
GIB = 1 << 30
OURS = OURS_BYTES + 10 * CONNECTION_BYTES["wire"]
"""Our own processes, and the ten connections of the phase."""

HOST = HostMemory(total_bytes=8 * GIB, available_bytes=6 * GIB, swap_bytes=GIB)


def text(memory: str, *, duration: str = "10min", more: str = "", phase: str = "") -> str:
    """A plan of one phase with this memory."""
    return (
        f"{TARGET}{more}phases:\n  - {{name: squeeze, duration: {duration}, connections: 10, operations: 10, "
        f"level: moderate, {phase}memory: {memory}}}\n"
    )


def fitted(
    written: str,
    host: HostMemory | HostMemoryUnknown = HOST,
    *,
    compress_to_s: float | NotCompressed = NotCompressed(),  # noqa: B008 - a frozen record without content
) -> PlannedNight | PlanRefused:
    """The planner's answer."""
    found = loaded(written)
    return fit_night(
        found.plan,
        inputs=found.inputs,
        now_utc_s=1.8e9,
        host_cpu_count=4,
        run_id="run",
        host_memory=host,
        compress_to_s=compress_to_s,
    )


def night(written: str, host: HostMemory | HostMemoryUnknown = HOST) -> PlannedNight:
    """A night that may be."""
    answer = fitted(written, host)
    assert isinstance(answer, PlannedNight), answer
    return answer


def refusal(written: str, host: HostMemory | HostMemoryUnknown = HOST) -> str:
    """The one reason against it."""
    answer = fitted(written, host)
    assert isinstance(answer, PlanRefused)
    (reason,) = answer.reasons
    return reason


def test_a_size_and_a_share_become_bytes_and_a_gate() -> None:
    """400 MiB are 400 MiB, 10 % of 8 GiB are 819 MiB; the phase gets its gate, the timeline its line."""
    planned = night(text("{size: 400MiB, rate: 50MiB/s}"))
    (phase,) = planned.order.phases
    assert phase.memory == MemoryLoad(size_bytes=400 * MIB, rise_bytes_per_s=50.0 * MIB)
    assert [gate.kind for gate in planned.order.gates].count(GateKind.PHASE_MEMORY) == 1
    assert "  holds 400 MiB of memory, which rise by 50 MiB/s for 8 s" in timeline_text(planned)
    (phase,) = night(text('{percent: 10, rate: "50 MiB/s"}')).order.phases
    assert phase.memory == MemoryLoad(size_bytes=int(0.8 * GIB), rise_bytes_per_s=50.0 * MIB)


def test_a_plan_without_memory_needs_no_look_at_the_host() -> None:
    """And has neither gate nor line."""
    written = text("x").replace(", memory: x", "")
    planned = night(written, NOT_LOOKED_AT)
    assert planned.order.phases[0].memory == NO_MEMORY_LOAD
    assert "memory" not in timeline_text(planned)
    assert GateKind.PHASE_MEMORY not in {gate.kind for gate in planned.order.gates}


def test_a_plan_with_memory_is_refused_where_nobody_can_tell_how_much_there_is() -> None:
    """Unknown is no permission."""
    reason = refusal(text("{size: 400MiB, rate: 50MiB/s}"), HostMemoryUnknown(reason="/proc is not mounted"))
    assert "/proc is not mounted" in reason


@pytest.mark.parametrize(("rate", "fits"), [("1.32MiB/s", False), ("1.34MiB/s", True)])
def test_the_rise_has_to_end_within_the_first_half_of_the_phase(rate: str, fits: bool) -> None:  # noqa: FBT001 - a row
    """400 MiB within 5 of 10 minutes need 1.333 MiB/s."""
    written = text(f"{{size: 400MiB, rate: {rate}}}")
    if fits:
        night(written)
    else:
        assert refusal(written).startswith("squeeze: 400 MiB / 1.32 MiB/s = ")
        assert "half of that has to be held: write a rate of at least 1.35 MiB/s" in refusal(written)


def test_a_rise_that_a_rehearsal_has_no_time_for_is_refused() -> None:
    """Compression scales durations and no rate."""
    answer = fitted(text("{size: 1GiB, rate: 10MiB/s}"), compress_to_s=120.0)
    assert isinstance(answer, PlanRefused)
    assert "of rise, its own load lasts" in answer.reasons[0]


@pytest.mark.parametrize(("more", "fits"), [(OURS - 1, False), (OURS, False), (OURS + 1, True)])
def test_memory_in_use_and_asked_stay_below_the_guardians_limit(more: int, fits: bool) -> None:  # noqa: FBT001 - a row
    """With 5 GiB of 10 in use and our own processes, 3 GiB are exactly the limit of 80 %, which counts as reached."""
    host = replace(HOST, total_bytes=10 * GIB, available_bytes=5 * GIB + more)
    written = text("{size: 3GiB, rate: 50MiB/s}")
    if fits:
        night(written, host)
    else:
        assert "the guardian's limit in this phase is 80 % of 10 GiB = 8 GiB" in refusal(written, host)


def test_a_phase_with_a_lower_limit_of_its_own_holds_less() -> None:
    """Its multiplier moves the limit; never past 95 %, however large."""
    host = replace(HOST, total_bytes=10 * GIB, available_bytes=7 * GIB)
    written = text("{size: 3GiB, rate: 50MiB/s}", phase="threshold_multiplier: 0.7, ")
    assert "is 56 % of 10 GiB = 5.6 GiB" in refusal(written, host)
    written = text(
        "{size: 6.6GiB, rate: 50MiB/s}", more="safety: {memory_reserve: 100MiB}\n", phase="threshold_multiplier: 2, "
    )
    assert "is 95 % of 10 GiB = 9.5 GiB" in refusal(written, host)


@pytest.mark.parametrize(("reserve", "fits"), [("1023MiB", True), ("1024MiB", False), ("1025MiB", False)])
def test_what_is_left_stays_above_the_reserve(reserve: str, fits: bool) -> None:  # noqa: FBT001 - a row
    """5 GiB available beside our own processes and 4 GiB asked leave 1 GiB."""
    host = replace(HOST, total_bytes=16 * GIB, available_bytes=5 * GIB + OURS)
    written = text("{size: 4GiB, rate: 50MiB/s}", more=f"safety: {{memory: 95, memory_reserve: {reserve}}}\n")
    if fits:
        night(written, host)
    else:
        reason = refusal(written, host)
        assert (
            "5.19 GiB available - 192 MiB for our own processes - 320 KiB for 10 connections - 4 GiB leave 1 GiB"
            in reason
        )


@pytest.mark.parametrize(("reserve", "fits"), [("8191MiB", True), ("8GiB", False), ("9GiB", False)])
def test_a_reserve_that_the_host_does_not_have_is_refused(reserve: str, fits: bool) -> None:  # noqa: FBT001 - a row
    """It would always be violated. One that is only not free now is no fault of the plan: the preflight says it."""
    written = text("x", more=f"safety: {{memory_reserve: {reserve}}}\n").replace(", memory: x", "")
    if fits:
        night(written)
    else:
        reason = refusal(written)
        assert reason.startswith("safety.memory_reserve: ")
        assert "can never stay free of 8 GiB" in reason
        assert reason.endswith("write less, such as 819 MiB")


def test_our_own_processes_limit_counts_too() -> None:
    """Just below 8 of 10 GiB, and what makes the load: 80 %, which our processes may not use together."""
    host = replace(HOST, total_bytes=10 * GIB, available_bytes=10 * GIB)
    written = text("{size: 7.9GiB, rate: 50MiB/s}", more="safety: {memory: 95}\n")
    assert "which our own processes may use (at most 7.81 GiB are possible)" in refusal(written, host)
    night(written.replace("7.9GiB", "7.8GiB"), host)


@pytest.mark.parametrize(
    ("swap", "rate", "fits"),
    [
        (GIB, 639, True),  # 2 x 640 x 0.4 = 512, and ten connections
        (GIB, 640, False),
        (0, 319, True),
        (0, 320, False),
    ],
)
def test_a_ramp_that_outruns_the_guardian_is_refused(swap: int, rate: int, fits: bool) -> None:  # noqa: FBT001 - a row
    """Twice what rises within the reaction must be kept free; without swap four times."""
    host = replace(HOST, swap_bytes=swap)
    written = text(f"{{size: 1GiB, rate: {rate}MiB/s}}", more="safety: {memory_reserve: 512MiB}\n")
    if fits:
        night(written, host)
    else:
        reason = refusal(written, host)
        assert "the guardian reacts within 0.1 s + 0.2 s + 0.1 s = 0.4 s" in reason
        assert f"2 x ({rate} MiB/s x 0.4 s + 2.13 KiB of 10 connections)" in reason
        assert ("without swap" in reason) is (swap == 0)
        assert f"write a rate of at most {634 if swap else 317} MiB/s" in reason


def test_the_reaction_doubles_without_swap() -> None:
    """The formula, in numbers."""
    assert reaction_bytes(100.0, swap_bytes=1) == pytest.approx(80.0)
    assert reaction_bytes(100.0, swap_bytes=0) == pytest.approx(160.0)


@pytest.mark.parametrize(("ramp", "burst"), [("{percent: 0}", 625.0), ("{max: 1s}", 250.0), ("{max: 2s}", 125.0)])
def test_connections_that_all_come_at_once_outrun_the_guardian_too(ramp: str, burst: float) -> None:
    """20,000 connections take 625 MiB: without a ramp all of it before the guardian has reacted, else a part of it."""
    written = (
        f"{TARGET}safety: {{memory_reserve: 256MiB}}\nramp: {ramp}\nphases:\n  - {{name: crowd, duration: 10min, "
        "connections: 20000, operations: 10, level: low}\n"
    )
    host = replace(HOST, swap_bytes=GIB)
    assert reaction_bytes(
        0.0, swap_bytes=GIB, burst_bytes=625.0 * MIB, rise_s=0.0 if "percent" in ramp else float(ramp[6])
    ) == pytest.approx(2 * burst * MIB)
    if 2 * burst < 256:
        night(written, host)
    else:
        reason = refusal(written, host)
        assert f"2 x {burst:g} MiB of 20000 connections" in reason
        assert "write fewer connections, a longer ramp, or a larger safety.memory_reserve" in reason


@pytest.mark.parametrize(("in_use", "refused"), [(6.2, False), (6.3, True), (6.399, True), (6.41, False)])
def test_a_phase_that_holds_nothing_is_refused_where_it_would_reach_its_own_limit(
    in_use: float, *, refused: bool
) -> None:
    """64 % where the multiplier is 0.8. What others use alone beyond that is no fault of the plan: the preflight says it."""
    host = replace(HOST, total_bytes=10 * GIB, available_bytes=int((10 - in_use) * GIB))
    written = text("x", phase="threshold_multiplier: 0.8, ").replace(", memory: x", "")
    night(written.replace("0.8", "1"), host)
    if not refused:
        night(written, host)
        return
    reason = refusal(written, host)
    assert f"{in_use:.3g} GiB in use + 192 MiB for our own processes + 320 KiB for 10 connections = " in reason
    assert "64 % of 10 GiB = 6.4 GiB" in reason
    assert reason.endswith("or write a higher threshold_multiplier, or end other programs")


def test_the_reaction_counts_connections_as_they_come() -> None:
    """All of them where the ramp is shorter than the reaction, just below, at and above."""
    for rise_s, share in ((REACTION_S / 2, 1.0), (REACTION_S, 1.0), (2 * REACTION_S, 0.5)):
        found = reaction_bytes(0.0, swap_bytes=1, burst_bytes=100.0, rise_s=rise_s)
        assert found == pytest.approx(200.0 * share)


def test_the_preflight_forecast_counts_the_largest_memory_load() -> None:
    """Beside our processes and their connections."""
    without = memory_forecast_bytes(night(text("x").replace(", memory: x", "")), "wire")
    assert memory_forecast_bytes(night(text("{size: 1GiB, rate: 50MiB/s}")), "wire") == without + GIB


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ("{size: 400, rate: 50MiB/s}", "is not a size"),
        ("{size: 400MiB, rate: 50MiB}", "is not a rate of memory"),
        ("{size: 400MiB, rate: 50}", "is not a rate of memory"),
        ("{size: 400MiB, rate: 9GiB/s}", "at most 8 GiB/s"),
        ("{size: 400MiB, rate: fast/s}", "is not a rate of memory"),
        ("{size: 400MiB}", "rate"),
        ("{rate: 50MiB/s}", "write size: 400MiB, or percent: 40%"),
        ("{size: 400MiB, percent: 40, rate: 50MiB/s}", "write one of the two"),
        ("{size: 1023KiB, rate: 50MiB/s}", "is below 1 MiB"),
        ("{percent: 0.9, rate: 50MiB/s}", "is not within 1 and 90 %"),
        ("{percent: 91, rate: 50MiB/s}", "is not within 1 and 90 %"),
        ("{percent: much, rate: 50MiB/s}", 'write "40%"'),
        ("{size: 400MiB, rate: 50MiB/s, hold: 3s}", "hold"),
    ],
)
def test_a_memory_load_that_is_none_is_refused_with_what_to_write(memory: str, words: str) -> None:
    """Each refusal stands at its key."""
    with pytest.raises(PlanError, match=words) as refused:
        loaded(text(memory))
    assert "memory" in str(refused.value)


def test_a_memory_load_is_written_as_it_was_read() -> None:
    """The resolved plan gives the same bytes again."""
    plan = loaded(text("{size: 400MiB, rate: 50MiB/s}")).plan
    written = plan.phases[0].model_dump(mode="json", by_alias=True)["memory"]
    assert written == {"size": "400 MiB", "percent": None, "rate": "50 MiB/s"}
    plan = loaded(text("{percent: 40%, rate: 1GB/s}")).plan
    assert plan.phases[0].model_dump(mode="json", by_alias=True)["memory"]["percent"] == "40%"
