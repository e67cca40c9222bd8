"""Health scores: known only when everything behind them is."""

import dataclasses
from typing import Any, TypeVar, assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.health import (
    BaselineInputs,
    GoldenSignals,
    Health,
    HealthBand,
    KnownScore,
    Score,
    UnknownScore,
    baseline_health,
    health_band,
    phases_allowed,
    running_health,
    subscore,
    system_score,
)
from baseline_metrics.samples import Gap, GapReason, Reading, Sample

GAP = Gap(reason=GapReason.FAILED, detail="sensor broke")

QUIET = BaselineInputs(
    memory_percent=Sample(value=40.0),
    cpu_percent=Sample(value=5.0),
    disk_percent=Sample(value=30.0),
    operations_succeeded=100,
    operations_failed=0,
    response_s_mean=Sample(value=0.01),
    response_s_slo=0.5,
    response_s_limit=2.0,
    noise_cv=Sample(value=0.02),
)
SMOOTH = GoldenSignals(
    response_s=Sample(value=0.01),
    response_s_slo=0.5,
    response_s_limit=2.0,
    error_percent=Sample(value=0.0),
    error_percent_slo=1.0,
    error_percent_limit=10.0,
    achieved_share=Sample(value=1.0),
    memory_percent=Sample(value=30.0),
    memory_percent_limit=80.0,
    cpu_percent=Sample(value=20.0),
    cpu_percent_limit=85.0,
)
BASELINE_READINGS = ("memory_percent", "cpu_percent", "disk_percent", "response_s_mean", "noise_cv")
GOLDEN_READINGS = ("response_s", "error_percent", "achieved_share", "memory_percent", "cpu_percent")

Signals = TypeVar("Signals", BaselineInputs, GoldenSignals)

percents = st.floats(0.0, 100.0).map(lambda value: Sample(value=value))
any_reading = st.one_of(percents, st.just(GAP))
baselines = st.builds(
    BaselineInputs,
    memory_percent=percents,
    cpu_percent=percents,
    disk_percent=percents,
    operations_succeeded=st.integers(0, 1000),
    operations_failed=st.integers(0, 1000),
    response_s_mean=st.floats(0.0, 100.0).map(lambda value: Sample(value=value)),
    response_s_slo=st.floats(0.001, 1.0),
    response_s_limit=st.floats(1.1, 60.0),
    noise_cv=st.floats(0.0, 10.0).map(lambda value: Sample(value=value)),
)
goldens = st.builds(
    GoldenSignals,
    response_s=st.floats(0.0, 100.0).map(lambda value: Sample(value=value)),
    response_s_slo=st.floats(0.001, 1.0),
    response_s_limit=st.floats(1.1, 60.0),
    error_percent=percents,
    error_percent_slo=st.floats(0.01, 5.0),
    error_percent_limit=st.floats(5.1, 50.0),
    achieved_share=st.floats(0.0, 1.2).map(lambda value: Sample(value=value)),
    memory_percent=percents,
    memory_percent_limit=st.floats(10.0, 95.0),
    cpu_percent=percents,
    cpu_percent_limit=st.floats(10.0, 100.0),
)


def with_reading(signals: Signals, name: str, reading: Reading) -> Signals:
    """The same with one reading replaced."""
    changes: dict[str, Any] = {name: reading}
    return dataclasses.replace(signals, **changes)


def known(score: Score) -> float:
    """The value of a score that has to be known."""
    match score:
        case KnownScore(value=value):
            return value
        case UnknownScore(reason=reason):
            pytest.fail(f"unknown: {reason}")
        case _:
            assert_never(score)


def part(health: Health, name: str) -> Score:
    """The score of one part."""
    (found,) = [each.score for each in health.parts if each.name == name]
    return found


@pytest.mark.parametrize(
    ("memory", "cpu", "disk", "score"),
    [
        (69.9, 49.9, 79.9, 100.0),
        (70.0, 50.0, 80.0, 100.0),
        (70.1, 50.0, 80.0, 99.8),
        (70.0, 50.2, 80.0, 99.7),
        (70.0, 50.0, 80.1, 99.7),
        (80.0, 60.0, 90.0, 35.0),
        (100.0, 100.0, 100.0, 0.0),
    ],
)
def test_system_score_follows_its_formula(memory: float, cpu: float, disk: float, score: float) -> None:
    """Nothing is lost up to 70, 50 and 80 %; beyond, 2, 1.5 and 3 points a percent; never below 0."""
    found = system_score(
        memory_percent=Sample(value=memory), cpu_percent=Sample(value=cpu), disk_percent=Sample(value=disk)
    )

    assert known(found) == pytest.approx(score)


def test_system_score_names_each_missing_reading() -> None:
    """An unknown score says which readings it lacks, and why."""
    found = system_score(memory_percent=GAP, cpu_percent=Sample(value=1.0), disk_percent=GAP)

    assert found == UnknownScore(reason="memory: unknown (sensor broke); disk: unknown (sensor broke)")


def test_quiet_host_with_a_fast_target_scores_full() -> None:
    """Nothing to complain about is 100, with the four parts and their weights."""
    health = baseline_health(QUIET, at_mono_s=7.0)

    assert health.score == KnownScore(value=100.0)
    assert health.at_mono_s == 7.0
    assert [(each.name, each.weight) for each in health.parts] == [
        ("system", 40.0),
        ("connectivity", 20.0),
        ("performance", 25.0),
        ("stability", 15.0),
    ]


def test_baseline_parts_add_up_by_their_weights() -> None:
    """Half the operations failing costs half of connectivity and of performance: 22.5 points."""
    health = baseline_health(dataclasses.replace(QUIET, operations_succeeded=50, operations_failed=50), at_mono_s=0.0)

    assert health.score == KnownScore(value=77.5)


@pytest.mark.parametrize(
    ("noise_cv", "score"), [(0.0, 100.0), (0.1, 100.0), (0.11, 97.5), (0.3, 50.0), (0.49, 2.5), (0.5, 0.0), (9.0, 0.0)]
)
def test_stability_falls_linearly_from_a_tenth_to_a_half(noise_cv: float, score: float) -> None:
    """Up to 10 % spread nothing is lost, at 50 % everything."""
    health = baseline_health(dataclasses.replace(QUIET, noise_cv=Sample(value=noise_cv)), at_mono_s=0.0)

    assert known(part(health, "stability")) == pytest.approx(score)


@given(baselines, st.one_of(st.just(GAP), percents))
def test_dead_target_never_scores_above_55(inputs: BaselineInputs, response: Reading) -> None:
    """When every operation failed, connectivity and performance are 0 whatever else was read."""
    dead = dataclasses.replace(
        inputs, operations_succeeded=0, operations_failed=inputs.operations_failed + 1, response_s_mean=response
    )
    health = baseline_health(dead, at_mono_s=0.0)

    assert part(health, "connectivity") == KnownScore(value=0.0)
    assert part(health, "performance") == KnownScore(value=0.0)
    assert known(health.score) <= 55.0


def test_without_any_operation_the_baseline_is_unknown() -> None:
    """A target that was not tried is neither connected nor dead."""
    health = baseline_health(dataclasses.replace(QUIET, operations_succeeded=0), at_mono_s=0.0)

    assert isinstance(part(health, "connectivity"), UnknownScore)
    assert isinstance(part(health, "performance"), UnknownScore)
    assert health.score == UnknownScore(reason="no operation was sent to the target")


@given(baselines, st.sampled_from(BASELINE_READINGS))
def test_a_gap_in_the_baseline_makes_it_unknown(inputs: BaselineInputs, name: str) -> None:
    """With a target that answers, a missing reading never yields a known score; the others are not re-weighted."""
    answered = dataclasses.replace(inputs, operations_succeeded=inputs.operations_succeeded + 1)
    health = baseline_health(with_reading(answered, name, GAP), at_mono_s=0.0)

    assert isinstance(health.score, UnknownScore)
    assert "sensor broke" in health.score.reason


@given(baselines, st.sampled_from(BASELINE_READINGS))
def test_a_gap_never_raises_the_baseline(inputs: BaselineInputs, name: str) -> None:
    """Whatever the target did: replacing a reading by a gap leaves the score equal or makes it unknown."""
    before = baseline_health(inputs, at_mono_s=0.0).score
    after = baseline_health(with_reading(inputs, name, GAP), at_mono_s=0.0).score

    assert isinstance(after, UnknownScore) or after == before


@given(baselines)
def test_baseline_scores_lie_between_0_and_100_in_tenths(inputs: BaselineInputs) -> None:
    """A known score is a number of tenths from 0 to 100."""
    match baseline_health(inputs, at_mono_s=0.0).score:
        case KnownScore(value=value):
            assert 0.0 <= value <= 100.0
            assert value == round(value, 1)
        case UnknownScore():
            assert inputs.operations_succeeded + inputs.operations_failed == 0


def test_negative_response_time_is_unknown() -> None:
    """A reading that cannot be is not taken for a good one."""
    health = baseline_health(dataclasses.replace(QUIET, response_s_mean=Sample(value=-1.0)), at_mono_s=0.0)

    assert health.score == UnknownScore(reason="mean response: -1 is not possible")


def test_subscore_meets_its_control_points() -> None:
    """0.9 at the SLO, 0.5 at the limit, 1 at nothing, towards 0 far beyond."""
    assert subscore(0.5, slo=0.5, limit=2.0) == pytest.approx(0.9)
    assert subscore(2.0, slo=0.5, limit=2.0) == pytest.approx(0.5)
    assert subscore(0.0, slo=0.5, limit=2.0) == 1.0
    assert subscore(1000.0, slo=0.5, limit=2.0) < 1e-6


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6))
def test_subscore_never_rewards_a_higher_value(one: float, other: float) -> None:
    """Lower is better, without exception."""
    low, high = sorted((one, other))

    assert subscore(low, slo=0.5, limit=2.0) >= subscore(high, slo=0.5, limit=2.0)


def test_smooth_load_scores_nearly_full() -> None:
    """A fast target on a host at rest leaves nothing to say, in four parts of a quarter each."""
    health = running_health(SMOOTH, at_mono_s=3.0)

    assert known(health.score) == 100.0
    assert health.at_mono_s == 3.0
    assert [(each.name, each.weight) for each in health.parts] == [
        ("latency", 25.0),
        ("errors", 25.0),
        ("traffic", 25.0),
        ("saturation", 25.0),
    ]


@pytest.mark.parametrize(
    ("name", "value", "part_name"),
    [
        ("response_s", 2.0, "latency"),
        ("error_percent", 10.0, "errors"),
        ("achieved_share", 0.9, "traffic"),
        ("memory_percent", 80.0, "saturation"),
        ("cpu_percent", 85.0, "saturation"),
    ],
)
def test_a_signal_at_its_limit_scores_50(name: str, value: float, part_name: str) -> None:
    """Each signal's limit is the half-way point of its sub-score."""
    health = running_health(with_reading(SMOOTH, name, Sample(value=value)), at_mono_s=0.0)

    assert known(part(health, part_name)) == pytest.approx(50.0)


def test_latency_alone_lowers_the_geometric_mean() -> None:
    """Half a sub-score in one of four parts costs 1 - 0.5^0.25: 15.9 points."""
    health = running_health(dataclasses.replace(SMOOTH, response_s=Sample(value=2.0)), at_mono_s=0.0)

    assert known(health.score) == pytest.approx(84.1)


@pytest.mark.parametrize(("name", "value"), [("error_percent", 10.0), ("cpu_percent", 85.0), ("memory_percent", 80.0)])
def test_a_critical_signal_caps_the_whole(name: str, value: float) -> None:
    """Errors or the host at the limit: the whole is at most 50, however well the rest looks."""
    health = running_health(with_reading(SMOOTH, name, Sample(value=value)), at_mono_s=0.0)

    assert known(health.score) == pytest.approx(50.0)


@given(goldens, st.sampled_from(GOLDEN_READINGS))
def test_a_gap_under_load_makes_the_score_unknown(signals: GoldenSignals, name: str) -> None:
    """A missing signal is never made up for by the others."""
    health = running_health(with_reading(signals, name, GAP), at_mono_s=0.0)

    assert isinstance(health.score, UnknownScore)
    assert "sensor broke" in health.score.reason


@given(goldens)
def test_running_scores_are_bounded_by_their_critical_parts(signals: GoldenSignals) -> None:
    """0 to 100, in tenths, and never above errors or saturation."""
    health = running_health(signals, at_mono_s=0.0)
    value = known(health.score)

    assert 0.0 <= value <= 100.0
    assert value <= min(known(part(health, "errors")), known(part(health, "saturation"))) + 0.05


def test_more_than_was_asked_is_no_shortfall() -> None:
    """An achieved share just above 1 counts as 1; a negative one is no share."""
    above = running_health(dataclasses.replace(SMOOTH, achieved_share=Sample(value=1.01)), at_mono_s=0.0)
    negative = running_health(dataclasses.replace(SMOOTH, achieved_share=Sample(value=-0.1)), at_mono_s=0.0)

    assert known(part(above, "traffic")) == 100.0
    assert isinstance(negative.score, UnknownScore)


@pytest.mark.parametrize(
    ("value", "band", "of_eight"),
    [
        (100.0, HealthBand.EXCELLENT, 8),
        (90.0, HealthBand.EXCELLENT, 8),
        (89.9, HealthBand.GOOD, 6),
        (80.0, HealthBand.GOOD, 6),
        (79.9, HealthBand.ACCEPTABLE, 4),
        (70.0, HealthBand.ACCEPTABLE, 4),
        (69.9, HealthBand.CAUTION, 0),
        (60.0, HealthBand.CAUTION, 0),
        (59.9, HealthBand.NOT_READY, 0),
        (0.0, HealthBand.NOT_READY, 0),
    ],
)
def test_bands_decide_how_far_the_night_may_go(value: float, band: HealthBand, of_eight: int) -> None:
    """90 allows all eight phases, 80 six, 70 four, less none."""
    assert health_band(KnownScore(value=value)) is band
    assert phases_allowed(KnownScore(value=value), total=8) == of_eight


def test_unknown_health_allows_nothing() -> None:
    """No evidence, no phase."""
    assert health_band(UnknownScore(reason="no sensor")) is HealthBand.UNKNOWN
    assert phases_allowed(UnknownScore(reason="no sensor"), total=8) == 0


@pytest.mark.parametrize(("total", "good", "acceptable"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (5, 4, 3), (64, 48, 32)])
def test_allowed_phases_are_rounded_up(total: int, good: int, acceptable: int) -> None:
    """A plan of few phases is not shortened to none by rounding."""
    assert phases_allowed(KnownScore(value=80.0), total=total) == good
    assert phases_allowed(KnownScore(value=70.0), total=total) == acceptable
