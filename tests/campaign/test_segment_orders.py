"""What load each kind of segment asks for: how much from the night's order, what and with which script from the campaign's."""

import dataclasses
from pathlib import Path

import pytest

from campaign.campaign_order import CampaignOrder
from campaign.segment_orders import segment_load
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import SegmentKind
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    Curve,
    FeederFormat,
    FeederOrder,
    FeederSpec,
    HeaderField,
    LoadOrder,
    Pace,
    Paced,
    PythonScenario,
    Spacing,
    Thinking,
    Unpaced,
    Variable,
)
from tests.support.orders import campaign_order, night_order, phase_order

SEARCH = SearchOrder(
    lasts_s=300.0,
    step_s=20.0,
    start_per_s=5.0,
    per_s_max=1000.0,
    connections=64,
    success_percent_min=95.0,
    response_s_mean_max=2.0,
    response_s_p99_max=0.0,
    achieved_percent_min=98.0,
)


def load(order: CampaignOrder, kind: SegmentKind, *, phase: int = 1, ramp_s: float = 5.0) -> LoadOrder:
    """The load of a segment with number 9, with one header whose secret was resolved."""
    target = dataclasses.replace(
        order.target, headers=(HeaderField(name="Authorization", value="s3cr3t", secrets=("s3cr3t",)),)
    )
    return segment_load(
        order,
        kind=kind,
        phase=phase,
        segment=9,
        target=target,
        operations=order.operations,
        ramp_s=ramp_s,
        hold_s=40.0,
    )


def test_an_anchor_is_paced_and_rises_evenly(tmp_path: Path) -> None:
    """Whatever the phase is that it precedes; -1 is the last one."""
    made = load(campaign_order(tmp_path), SegmentKind.ANCHOR, phase=-1)
    assert (made.connections, made.connections_total, made.connection_offset) == (2, 2, 0)
    assert made.pace == Paced(operations_per_s=1.0)
    assert (made.ramp_s, made.hold_s, made.drain_s, made.ramp_curve) == (5.0, 40.0, 10.0, Curve.LINEAR)


def test_a_phase_of_the_first_kind_is_paced_by_its_rate(tmp_path: Path) -> None:
    """The seed differs between segments, and what the caller resolved is what workers get."""
    order = campaign_order(tmp_path)
    made = load(order, SegmentKind.PHASE)
    assert (made.connections, made.pace) == (5, Paced(operations_per_s=2.0))
    assert (made.segment, made.seed) == (9, order.night.seed + 9)
    assert made.target.headers[0].value == "s3cr3t"
    assert made.response_bytes_max == order.response_bytes_max


@pytest.mark.parametrize(
    "pace",
    [
        Unpaced(),
        Thinking(seconds_min=1.0, seconds_max=2.0),
        Arrivals(shape=ConstantRate(per_s=50.0), spacing=Spacing.POISSON, start_within_s=1.0, part=0, parts=1),
    ],
)
def test_other_models_of_load_are_handed_on_with_their_curve(tmp_path: Path, pace: Pace) -> None:
    """As the plan has them."""
    night = night_order(phase_order(0), phase_order(1, pace=pace, ramp_curve=Curve.EXPONENTIAL))
    made = load(campaign_order(tmp_path, night), SegmentKind.PHASE)
    assert (made.pace, made.ramp_curve) == (pace, Curve.EXPONENTIAL)


def test_a_search_is_an_open_model_at_its_first_rate_for_all_of_its_time(tmp_path: Path) -> None:
    """No ramp; an arrival waits for a connection as long as a response may take."""
    night = night_order(phase_order(0), phase_order(1, search=SEARCH, ramp_curve=Curve.AGGRESSIVE))
    made = load(campaign_order(tmp_path, night), SegmentKind.SEARCH, ramp_s=0.0)
    assert made.pace == Arrivals(
        shape=ConstantRate(per_s=5.0), spacing=Spacing.EVEN, start_within_s=2.0, part=0, parts=1
    )
    assert (made.connections, made.ramp_s, made.hold_s) == (64, 0.0, 40.0)


@pytest.mark.parametrize(
    ("mean_s", "p99_s", "within_s"), [(0.01, 0.0, 0.1), (0.1, 0.05, 0.1), (1.0, 3.0, 3.0), (4.0, 30.0, 5.0)]
)
def test_the_patience_of_a_searchs_arrivals_is_bounded(
    tmp_path: Path, mean_s: float, p99_s: float, within_s: float
) -> None:
    """From a tenth of a second to five."""
    search = dataclasses.replace(SEARCH, response_s_mean_max=mean_s, response_s_p99_max=p99_s)
    night = night_order(phase_order(0), phase_order(1, search=search))
    pace = load(campaign_order(tmp_path, night), SegmentKind.SEARCH).pace
    assert isinstance(pace, Arrivals)
    assert pace.start_within_s == within_s


@pytest.mark.parametrize("kind", [SegmentKind.ANCHOR, SegmentKind.PHASE, SegmentKind.SEARCH])
def test_every_load_runs_the_campaigns_script(tmp_path: Path, kind: SegmentKind) -> None:
    """Variables, feeders and code are the same for anchors, phases and searches: otherwise they could not be compared."""
    night = night_order(phase_order(0), phase_order(1, search=SEARCH))
    order = dataclasses.replace(
        campaign_order(tmp_path, night),
        variables=(Variable(name="tenant", value="a"),),
        feeders=(
            FeederSpec(
                name="users",
                path=str(tmp_path / "users.csv"),
                sha256="00",
                format=FeederFormat.CSV,
                order=FeederOrder.UNIQUE,
            ),
        ),
        code=PythonScenario(code="/plans/flow.py:browse", sha256="11"),
    )
    made = load(order, kind)
    assert (made.variables, made.feeders, made.code) == (order.variables, order.feeders, order.code)


def test_a_phase_that_searches_nothing_has_no_search_load(tmp_path: Path) -> None:
    """Asking for it is our own bug."""
    with pytest.raises(AssertionError, match="searches nothing"):
        load(campaign_order(tmp_path), SegmentKind.SEARCH)
