"""A whole night under CPU limits: on the generator they make a phase invalid, on the target they are the target's."""

from pathlib import Path

import pytest

from monitoring_logs.records import Outcome
from tests.support.night_plans import night_plan, phase
from tests.support.nights import Campaign, foreground, new_home, with_patience
from tests.support.servers import demo_service
from tests.support.throttled import throttled

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

RESPONSE_S_MAX = 0.03
"""An answer takes a millisecond; of one that arrives while the target stands still 45 ms are waited on average."""


def _phase_over(campaign: Campaign, index: int) -> None:
    campaign.wait_for(lambda seen: seen.phases[index].state not in ("waiting", "running"), f"the end of phase {index}")


def _throttled_night(directory: Path) -> tuple[Campaign, int]:
    """Two phases, the first with a throttled worker, the second with a throttled target; the campaign and its exit code."""
    phases = (phase("weak_generator", seconds=4, connections=4), phase("weak_target", seconds=5, connections=4))
    with demo_service() as shop:
        plan = night_plan(shop.url, scenario=PAGE, phases=phases, response=f"{1000 * RESPONSE_S_MAX:g}ms")
        with foreground(new_home(directory), plan) as night:
            campaign = night.campaign
            campaign.require_phases(2)
            with throttled(campaign.pid_of("worker")):
                _phase_over(campaign, 0)
            campaign.wait_for_state("RAMPING", "HOLDING", phase_index=1)
            with throttled(shop.pid):
                _phase_over(campaign, 1)
            code = night.wait()
    return campaign, code


def test_a_cpu_limit_on_the_generator_is_not_the_targets_and_one_on_the_target_is(tmp_path: Path) -> None:
    """The same limit twice: a throttled worker gives INVALID_GENERATOR, a throttled target FAILED; the night goes on."""
    campaign, code = with_patience(_throttled_night, tmp_path)
    campaign.assert_over()
    weak_generator, weak_target = campaign.phase_records()
    assert weak_generator.outcome is Outcome.INVALID_GENERATOR, weak_generator
    assert "generator" in weak_generator.reason
    assert weak_target.outcome is Outcome.FAILED, weak_target
    assert "mean response" in weak_target.reason
    report = campaign.report()
    states = {gate["state"] for gate in report["gates"] if gate["id"].startswith("phase.1.weak_generator.")}
    assert states == {"UNKNOWN"}, "its gates say nothing of the target"
    assert "phase.2.weak_target.response" in report["verdict"]["decided_by"]
    assert code == report["exit_code"] == 1, "the target's own failure counts"
