"""A whole night whose phase ends with a search: the rates go up, each step is recorded, and the bracket is the answer."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from baseline_metrics.samples import Sample
from monitoring_logs.records import Outcome, SegmentKind
from monitoring_logs.search_records import StepState
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan
from tests.support.nights import foreground, new_home
from tests.support.servers import demo_service

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

PER_S_MAX = 80

PHASE = (
    "{name: find, duration: 14s, duration_min: 14s, connections: 2, operations: 10, level: brisk, required_health: 0, "
    f"search: {{share: 75%, step: 2s, start: 20, max: {PER_S_MAX}, connections: 32}}}}"
)
"""3.5 s of its own load, then 10.5 s for steps at 20/s, 40/s and 80/s, which is as far as it may go."""


@pytest.fixture
def shop() -> Iterator[DemoProcess]:
    """A target that carries some thousand requests a second: no rate of this search is too much for it."""
    with demo_service() as process:
        yield process


def test_a_search_follows_its_phase_and_is_recorded(shop: DemoProcess, tmp_path: Path) -> None:
    """One record of the search, one of each step, what was sent at each rate, and the report names the answer.

    A busy host may ease a step or make it invalid, but never in favour of the target: what is said to pass did.
    """
    plan = night_plan(shop.url, scenario=PAGE, phases=(PHASE,), engine="wire")
    with foreground(new_home(tmp_path), plan) as night:
        campaign = night.campaign
        seen = campaign.wait_for_state("SEARCHING")
        assert seen.connections_asked in (0, 32)
        assert night.wait() in (0, 1, 3, 5)
    campaign.assert_over()
    (phase,) = campaign.phase_records()
    assert phase.outcome in (Outcome.COMPLETED, Outcome.EASED, Outcome.FAILED)
    with campaign.record() as reader:
        (search,) = reader.search_records()
        steps = reader.search_steps(search.segment)
        (segment,) = (item for item in reader.segments() if item.segment == search.segment)
    assert segment.kind is SegmentKind.SEARCH
    assert search.phase == phase.index
    assert search.segment != phase.segment
    assert search.reason
    assert steps
    assert [step.step for step in steps] == list(range(len(steps)))
    assert all(one.end_mono_s <= other.start_mono_s for one, other in pairwise(steps))
    assert all(step.operations_per_s <= PER_S_MAX for step in steps)
    passed = [step.operations_per_s for step in steps if step.state is StepState.PASSED]
    if isinstance(search.passing_per_s, Sample):
        assert search.passing_per_s.value in passed
    assert search.load.operations_started >= sum(step.operations_started for step in steps)
    assert search.load.operations_failed == 0
    (document,) = campaign.report()["searches"]
    assert document["phase"] == phase.index + 1
