"""What was asked for, in words that are true of each load model."""

from dataclasses import replace

import pytest

from monitoring_logs.load_orders import PACED_BY_RATE, PacedByRate
from monitoring_logs.records import PhaseOrder
from results_summary.load_words import asked_words, is_open, model_of
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    Pace,
    Paced,
    RampRate,
    RateShape,
    ReplayRate,
    SawtoothRate,
    SineRate,
    Spacing,
    SpikeRate,
    StepRate,
    Thinking,
    Unpaced,
)
from tests.support.sample_records import night_order


def order_of(pace: Pace | PacedByRate, *, connections: int = 50, curve: Curve = Curve.LINEAR) -> PhaseOrder:
    """A phase with this load model."""
    (phase,) = night_order().phases
    return replace(phase, connections=connections, operations_per_s=2.0, pace=pace, ramp_curve=curve)


def arriving(shape: RateShape, spacing: Spacing = Spacing.EVEN) -> Arrivals:
    """An open model of this shape."""
    return Arrivals(shape=shape, spacing=spacing, start_within_s=1.0, part=0, parts=1)


@pytest.mark.parametrize(
    ("pace", "words", "model"),
    [
        (PACED_BY_RATE, "50 connections, 100/s", "paced"),
        (Paced(operations_per_s=3.0), "50 connections, 150/s", "paced"),
        (Unpaced(), "50 connections, as fast as answers come", "unpaced"),
        (
            Thinking(seconds_min=1.0, seconds_max=3.0),
            "50 connections, a pause of 1 s to 3 s after each answer",
            "thinking",
        ),
        (Thinking(seconds_min=2.0, seconds_max=2.0), "50 connections, a pause of 2 s after each answer", "thinking"),
        (arriving(ConstantRate(per_s=200.0)), "200 arrivals/s, over at most 50 connections", "arrivals"),
        (
            arriving(ConstantRate(per_s=0.5), Spacing.POISSON),
            "0.5 arrivals/s, at random, over at most 50 connections",
            "arrivals",
        ),
        (
            arriving(RampRate(from_per_s=10.0, to_per_s=200.0, over_s=60.0, curve=Curve.LINEAR)),
            "10 to 200 arrivals/s within 60 s, over at most 50 connections",
            "arrivals",
        ),
        (
            arriving(RampRate(from_per_s=10.0, to_per_s=200.0, over_s=0.0, curve=Curve.LINEAR)),
            "10 to 200 arrivals/s, over at most 50 connections",
            "arrivals",
        ),
        (
            arriving(StepRate(from_per_s=10.0, by_per_s=5.0, to_per_s=50.0, every_s=30.0)),
            "10 to 50 arrivals/s in steps of 5 each 30 s, over at most 50 connections",
            "arrivals",
        ),
        (
            arriving(SpikeRate(base_per_s=20.0, peak_per_s=200.0, at_s=5.0, lasts_s=2.0, every_s=0.0)),
            "20 arrivals/s, spikes of 200/s for 2 s, over at most 50 connections",
            "arrivals",
        ),
        (
            arriving(SineRate(mean_per_s=100.0, amplitude_per_s=150.0, period_s=20.0)),
            "0 to 250 arrivals/s in waves of 20 s, over at most 50 connections",
            "arrivals",
        ),
        (
            arriving(SawtoothRate(from_per_s=5.0, to_per_s=50.0, period_s=10.0)),
            "5 to 50 arrivals/s again each 10 s, over at most 50 connections",
            "arrivals",
        ),
        (
            arriving(ReplayRate(path="/plans/friday\x1b[31m.csv", sha256="00")),
            "arrivals as in friday.csv, over at most 50 connections",
            "arrivals",
        ),
    ],
)
def test_each_load_model_is_described_truly(pace: Pace | PacedByRate, words: str, model: str) -> None:
    """No rate where the target sets the pace; no connections asked where arrivals are."""
    order = order_of(pace)
    assert asked_words(order) == words
    assert model_of(order) == model
    assert is_open(order) is (model == "arrivals")


def test_a_curve_that_is_not_a_straight_line_is_named() -> None:
    """The usual one is not."""
    assert asked_words(order_of(PACED_BY_RATE, connections=1, curve=Curve.AGGRESSIVE)) == (
        "1 connection, 2/s, aggressive ramp"
    )
