"""The demo service's faults: deterministic, bounded, and changeable while it runs."""

import math

import pytest

from baseline_metrics.codec import Json
from stress_scenarios.demo_faults import (
    BROWNOUT_ERROR_PERCENT,
    BROWNOUT_SLOWNESS_MS,
    LEAK_BYTES_MAX,
    LEAK_KIB_PER_REQUEST_MAX,
    QUEUE_S_MAX,
    SLOWNESS_MS_MAX,
    Brownout,
    Cliff,
    DemoSettings,
    DemoSettingsError,
    Fail,
    Faults,
    Serve,
    Steady,
    Unlimited,
    changed,
)


def test_without_faults_everything_is_served_at_once() -> None:
    """The default service adds nothing."""
    faults = Faults(DemoSettings())
    assert [faults.decide(float(now)) for now in range(100)] == [Serve(delay_s=0.0)] * 100
    assert faults.leaked_bytes == 0


def test_slowness_is_added_to_each_answer() -> None:
    """Milliseconds become seconds of delay."""
    assert Faults(DemoSettings(slowness_ms=250.0)).decide(1.0) == Serve(delay_s=0.25)


@pytest.mark.parametrize(("percent", "failures"), [(0.0, 0), (1.0, 10), (12.5, 125), (100.0, 1000)])
def test_errors_are_spread_exactly(percent: float, failures: int) -> None:
    """N percent of a thousand operations fail, no more and no fewer."""
    faults = Faults(DemoSettings(error_percent=percent))
    fates = [faults.decide(0.0) for _ in range(1000)]
    assert sum(isinstance(fate, Fail) for fate in fates) == failures


def test_a_brownout_starts_and_ends_when_planned() -> None:
    """Just before its start and at its end the service is itself; inside it is slow and fails."""
    faults = Faults(DemoSettings(brownout=Brownout(after_s=10.0, for_s=5.0)))
    slow = BROWNOUT_SLOWNESS_MS / 1000.0
    assert faults.decide(9.999) == Serve(delay_s=0.0)
    inside = [faults.decide(10.0 + number * 0.04) for number in range(100)]
    assert {fate.delay_s for fate in inside} == {slow}
    assert sum(isinstance(fate, Fail) for fate in inside) == BROWNOUT_ERROR_PERCENT
    assert faults.in_brownout(14.999)
    assert faults.decide(15.0) == Serve(delay_s=0.0)


def test_a_leak_holds_what_it_takes_and_stops_at_its_bound() -> None:
    """Each operation keeps its block, until one more would pass the bound."""
    faults = Faults(DemoSettings(leak_kib_per_request=LEAK_KIB_PER_REQUEST_MAX))
    faults.decide(0.0)
    assert faults.leaked_bytes == LEAK_KIB_PER_REQUEST_MAX * 1024
    faults.leaked_bytes = LEAK_BYTES_MAX - 1024 * 1024
    faults.decide(0.0)
    assert faults.leaked_bytes == LEAK_BYTES_MAX
    faults.decide(0.0)
    assert faults.leaked_bytes == LEAK_BYTES_MAX


def test_below_its_cliff_nothing_queues() -> None:
    """Operations that come slower than the capacity, or just as fast, do not wait."""
    faults = Faults(DemoSettings(capacity=Cliff(operations_per_s=16.0)))  # sixteenths are exact in binary
    assert {faults.decide(number / 16.0) for number in range(100)} == {Serve(delay_s=0.0)}


def test_beyond_its_cliff_the_queue_grows_then_refuses() -> None:
    """At twice the capacity each operation waits longer than the one before, up to the bound; then it is refused."""
    faults = Faults(DemoSettings(capacity=Cliff(operations_per_s=16.0)))
    fates = [faults.decide(number / 32.0) for number in range(400)]
    waits = [fate.delay_s for fate in fates if isinstance(fate, Serve)]
    assert waits[:3] == [0.0, 1 / 32, 2 / 32]
    assert max(waits) == pytest.approx(QUEUE_S_MAX, abs=1 / 16)
    assert Fail(delay_s=0.0, detail="over capacity") in fates


def test_a_refused_operation_takes_no_turn() -> None:
    """After a burst the queue empties as if the refused ones had never come."""
    faults = Faults(DemoSettings(capacity=Cliff(operations_per_s=1.0)))
    for _ in range(100):
        faults.decide(0.0)
    assert faults.decide(QUEUE_S_MAX + 1.0) == Serve(delay_s=0.0)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("slowness_ms", SLOWNESS_MS_MAX),
        ("error_percent", 100.0),
        ("leak_kib_per_request", LEAK_KIB_PER_REQUEST_MAX),
    ],
)
def test_settings_hold_at_their_edges(name: str, most: float) -> None:
    """Zero, just below and at the most are accepted; above, below zero and not-a-number are refused by name."""
    for accepted in (0.0, math.nextafter(most, 0.0), most):
        changed(DemoSettings(), {name: accepted}, now_s=0.0)
    for refused in (math.nextafter(most, math.inf), -0.001, math.nan, math.inf):
        with pytest.raises(DemoSettingsError, match=name):
            changed(DemoSettings(), {name: refused}, now_s=0.0)


@pytest.mark.parametrize(
    "document",
    [
        {"slownes_ms": 1},
        {"slowness_ms": "1"},
        {"error_percent": True},
        {"brownout_after_s": 1},
        {"brownout_seconds": -1},
        {"cliff_at_rps": 0},
    ],
)
def test_a_change_that_makes_no_sense_is_refused(document: dict[str, Json]) -> None:
    """Unknown names, wrong types and half a brownout are errors, not defaults."""
    with pytest.raises(DemoSettingsError):
        changed(DemoSettings(), document, now_s=0.0)


def test_a_change_keeps_what_it_does_not_name() -> None:
    """Only the named faults change; a brownout counts from now; null takes brownout and cliff away."""
    before = DemoSettings(slowness_ms=5.0)
    after = changed(before, {"error_percent": 2, "cliff_at_rps": 50, "brownout_seconds": 3}, now_s=100.0)
    assert after == DemoSettings(
        slowness_ms=5.0,
        error_percent=2.0,
        capacity=Cliff(operations_per_s=50.0),
        brownout=Brownout(after_s=100.0, for_s=3.0),
    )
    calm = changed(after, {"cliff_at_rps": None, "brownout_seconds": None}, now_s=101.0)
    assert (calm.capacity, calm.brownout) == (Unlimited(), Steady())
