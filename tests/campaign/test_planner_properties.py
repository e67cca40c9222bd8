"""Whatever the plan, the planner's night fits its window and its sums hold, or it is refused with reasons."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from campaign.planned_night import NotCompressed, PlanRefused
from tests.campaign.test_planner import assert_sound, fitted
from tests.support.plans import TARGET, plan


def phase_lines(phases: Sequence[tuple[int, int, int, str, int, str]]) -> str:
    """Plan text of phases: minutes, minimum share in percent, connections, level, priority, further keys."""
    lines = []
    for index, (minutes, minimum, connections, level, priority, more) in enumerate(phases):
        minimum_s = max(1, minutes * 60 * minimum // 100)
        lines.append(
            f"  - {{name: p{index}, duration: {minutes}min, duration_min: {minimum_s}s, connections: {connections}, "
            f"operations: 5, level: {level}, priority: {priority}{more}}}\n"
        )
    return "phases:\n" + "".join(lines)


PHASES = st.lists(
    st.tuples(
        st.integers(1, 300),
        st.integers(0, 100),
        st.integers(1, 30),
        st.sampled_from(["low", "moderate", "high", "extreme", "sustained"]),
        st.integers(1, 100),
        st.sampled_from(
            [
                "",
                ", search: true",
                ", search: {share: 20%, step: 30s}",
                ", arrivals: {rate: 3}",
                ", arrivals: {spike: {base: 1, peak: 90, at: 10s, lasts: 5s, every: 30s}}, search: {share: 80}",
            ]
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(
    phases=PHASES,
    minutes=st.integers(5, 24 * 60),
    break_text=st.sampled_from(["none", "1min", "5min"]),
    cooldown=st.sampled_from(["none", "10min"]),
    compress=st.one_of(st.none(), st.integers(60, 7200)),
)
def test_every_night_fits_its_window_or_is_refused_with_reasons(
    phases: list[tuple[int, int, int, str, int, str]],
    minutes: int,
    break_text: str,
    cooldown: str,
    compress: int | None,
) -> None:
    """Sums, minimums, cuts and notes hold for any plan; the same plan makes the same night."""
    text = (
        TARGET + f"window: {{hours: {minutes / 60:.4f}}}\nbreak: {break_text}\ncooldown: {cooldown}\n"
        "baseline: {idle: 1min}\n" + phase_lines(phases)
    )
    night_plan = plan(text)
    compress_to_s = NotCompressed() if compress is None else float(compress)
    answer = fitted(night_plan, compress_to_s=compress_to_s)

    assert answer == fitted(night_plan, compress_to_s=compress_to_s)
    if isinstance(answer, PlanRefused):
        assert answer.reasons
        return
    assert_sound(answer, night_plan)
    kept = [
        written.priority for phase, written in zip(answer.order.phases, night_plan.phases, strict=True) if not phase.cut
    ]
    lost = [
        written.priority for phase, written in zip(answer.order.phases, night_plan.phases, strict=True) if phase.cut
    ]
    assert not lost or max(lost) <= min(kept)


def test_a_compression_that_leaves_a_load_no_time_is_refused_also_with_arrivals() -> None:
    """A short open phase beside a long one, in a window that is too short already: the arithmetic, never a crash."""
    phases = [(1, 0, 1, "low", 1, "")] * 9 + [(1, 0, 1, "low", 1, ", arrivals: {rate: 3}"), (37, 0, 1, "low", 1, "")]
    window = f"window: {{hours: {33 / 60:.4f}}}\nbreak: none\ncooldown: none\nbaseline: {{idle: 1min}}\n"
    answer = fitted(plan(TARGET + window + phase_lines(phases)), compress_to_s=60.0)
    assert isinstance(answer, PlanRefused)
    assert any("too short" in reason for reason in answer.reasons)
