"""What a load did, from pages and last words: exact after a kill, and requested as the plan or the workers say."""

from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from campaign.crew_counts import EndedLoad, PageCounts, load_facts, look_at, summed
from campaign.telemetry import Told
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Pace,
    Paced,
    ReplayRate,
    Spacing,
    Thinking,
    Unpaced,
)
from stress_scenarios.messages import Drained
from tests.stress_scenarios.orders import an_order

COUNTED = PageCounts(due=90, dropped=4, started=85, succeeded=80, failed=3, bytes_received=8000, connections_opened=6)


def drained(worker: int, *, requested: int = 50) -> Drained:
    """The closing words of a worker."""
    return Drained(
        worker=worker,
        segment=0,
        operations_requested=requested,
        operations_started=40,
        operations_succeeded=39,
        operations_failed=1,
        operations_abandoned=0,
        connections_peak=2,
        connections_opened=3,
        first_start_mono_s=1.0,
        last_end_mono_s=2.0,
        operations_dropped=2,
        bytes_sent=700,
        messages_sent=9,
        messages_received=8,
        reconnects=1,
        redirects=5,
    )


def ended(
    *words: Drained, pace: Pace | None = None, adjusted: bool = False, told: Told | None = None, workers: int = 2
) -> EndedLoad:
    """A load of 4 connections at 10/s for 5 s, which plans for 200 operations."""
    order = an_order(connections=4, rate=10.0, hold_s=5.0)
    if pace is not None:
        order = replace(order, pace=pace)
    return EndedLoad(
        order=order,
        workers=workers,
        counted=COUNTED,
        drained=words,
        told=told or Told(connections_peak=3),
        connections_asked=4,
        adjusted=adjusted,
        hold_s=4.5,
    )


def test_two_looks_at_a_page_make_a_load(tmp_path: Path) -> None:
    """A page counts over a worker's life, over all operations; the difference is the load's."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    page.count_started(0)
    page.count_dropped(3)
    page.beat(heartbeat_mono_ns=1, connections_open=1, connections_opened=2, operations_due=5)
    before = look_at(page, 2)
    for operation in (0, 1, 1):
        page.count_started(operation)
    page.count_succeeded(0, bytes_received=100)
    page.count_failed(1, bytes_received=11)
    page.count_dropped(2)
    page.beat(heartbeat_mono_ns=2, connections_open=1, connections_opened=6, operations_due=15)
    counted = look_at(page, 2).since(before)
    page.close()
    assert counted == PageCounts(
        due=10, dropped=2, started=3, succeeded=1, failed=1, bytes_received=111, connections_opened=4
    )
    assert summed((counted, counted)).bytes_received == 222


def test_facts_are_what_the_pages_say() -> None:
    """What was started and has not ended was given up; what only workers know comes from their last words."""
    facts = load_facts(ended(drained(0), drained(1)))
    assert (facts.operations_started, facts.operations_succeeded, facts.operations_failed) == (85, 80, 3)
    assert (facts.operations_abandoned, facts.operations_dropped, facts.bytes_received) == (2, 4, 8000)
    assert (facts.connections_opened, facts.connections_requested) == (6, 4)
    assert facts.connections_peak == 4, "of both workers, which may have been at different times"
    assert (facts.bytes_sent, facts.messages_sent, facts.messages_received) == (1400, 18, 16)
    assert (facts.reconnects, facts.redirects) == (2, 10)
    assert (facts.hold_s_requested, facts.hold_s_achieved) == (5.0, 4.5)


def test_workers_that_were_killed_are_known_by_their_windows() -> None:
    """No last words: bytes and messages as far as they were told, connections as they were seen."""
    told = Told(connections_peak=3, bytes_sent=500, messages_sent=4, messages_received=3, reconnects=2)
    facts = load_facts(ended(told=told))
    assert (facts.bytes_sent, facts.messages_sent, facts.messages_received, facts.reconnects) == (500, 4, 3, 2)
    assert (facts.connections_peak, facts.redirects) == (3, 0)
    assert facts.operations_requested == 200, "the plan's count does not depend on how a load ended"


EVEN = Arrivals(shape=ConstantRate(per_s=30.0), spacing=Spacing.EVEN, start_within_s=1.0, part=0, parts=1)
REPLAY = Arrivals(
    shape=ReplayRate(path="/plans/times.csv", sha256="00"), spacing=Spacing.EVEN, start_within_s=1.0, part=0, parts=1
)


@pytest.mark.parametrize(
    ("pace", "with_drained", "without"),
    [
        (Paced(operations_per_s=10.0), 200, 200),
        (Unpaced(), 100, 90),
        (Thinking(seconds_min=0.1, seconds_max=0.2), 100, 90),
        (EVEN, 100, 150),
        (REPLAY, 100, 90),
    ],
    ids=["paced", "unpaced", "thinking", "arrivals", "replay"],
)
def test_requested_is_what_the_plan_or_else_the_workers_say(pace: Pace, with_drained: int, without: int) -> None:
    """Workers say 50 each; without the word of all of them, the plan's count, else what had come due (90)."""
    assert load_facts(ended(drained(0), drained(1), pace=pace)).operations_requested == with_drained
    assert load_facts(ended(drained(0), pace=pace)).operations_requested == without


@pytest.mark.parametrize("pace", [Paced(operations_per_s=10.0), Unpaced(), EVEN])
def test_after_an_adjustment_requested_is_what_had_come_due(pace: Pace) -> None:
    """The plan was overruled."""
    assert load_facts(ended(drained(0), drained(1), pace=pace, adjusted=True)).operations_requested == 90
