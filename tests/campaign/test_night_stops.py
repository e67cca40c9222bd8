"""Whole nights that a person stops: every way, at every moment, with its exit code, its latch and a truthful report."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring_logs.records import EndCause, Outcome
from safety_monitoring.registry import Latch, latched
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan, phase
from tests.support.nights import Campaign, Home, foreground, makes_load, new_home
from tests.support.servers import demo_service

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

TWO_PHASES = (phase(), phase("never"))

ORDERLY_S_MAX = 2.0
"""An orderly stop has its load off within this; the promise is in the stop table."""

AT_ONCE_S_MAX = 0.5
"""Seconds from seeing a stop that cannot wait until the last load process is gone; 0.1 s on a machine of its own."""


@pytest.fixture(scope="module")
def shop() -> Iterator[DemoProcess]:
    """One target for all nights of this module; it keeps no state that they could see."""
    with demo_service() as process:
        yield process


def _is_latched(home: Home) -> bool:
    return isinstance(latched(str(home.state_dir), str(home.runs_dir)), Latch)


def _assert_stopped(campaign: Campaign, cause: EndCause, *, outcomes: tuple[Outcome, ...]) -> None:
    """The night is over and quiet, and its report says the same as its record."""
    campaign.assert_over()
    assert campaign.outcomes() == tuple(outcome.value for outcome in outcomes)
    report = campaign.report()
    info = report["campaign_info"]
    assert EndCause(info["end_cause"]) is cause
    assert info["end_recorded"] is True
    assert info["processes_left"] == []
    assert report["exit_code"] == 4
    assert report["verdict"]["status"] == "inconclusive", "what was stopped by a person says nothing about the target"
    assert [document["outcome"] for document in report["phase_results"]] == [outcome.value for outcome in outcomes]
    for record, document in zip(campaign.phase_records(), report["phase_results"], strict=True):
        assert document["achieved"]["operations_started"] == record.load.operations_started
        ran = record.outcome is Outcome.OPERATOR_STOP
        assert (record.load.operations_started > 0) is ran
        assert record.reason


def _stop_s(campaign: Campaign) -> float:
    return float(campaign.report()["campaign_info"]["stop_s"])


def test_sigterm_is_an_orderly_stop(shop: DemoProcess, tmp_path: Path) -> None:
    """SIGTERM to the foreground: load off within 2 s, what is in flight drains, record, report, exit 4, no latch."""
    home = new_home(tmp_path)
    with foreground(home, night_plan(shop.url, scenario=PAGE, phases=TWO_PHASES)) as night:
        night.campaign.wait_for_load()
        night.viewer.send_signal(signal.SIGTERM)
        assert night.campaign.seconds_until_load_is_gone() <= ORDERLY_S_MAX + 1.0, "workers leave after the load is off"
        assert night.wait() == 4
    stopped = (Outcome.OPERATOR_STOP, Outcome.NOT_REACHED)
    _assert_stopped(night.campaign, EndCause.OPERATOR_STOP, outcomes=stopped)
    assert 0.0 <= _stop_s(night.campaign) <= ORDERLY_S_MAX
    assert not _is_latched(home)
    record = night.campaign.phase_records()[0]
    assert record.load.operations_abandoned == 0, "what was in flight has drained"
    assert "exit 4" in night.out


def test_a_second_sigterm_stops_at_once_and_latches(shop: DemoProcess, tmp_path: Path) -> None:
    """The second SIGTERM, while the first is being obeyed: exit 4 as well, and nothing starts until a reset."""
    home = new_home(tmp_path)
    with foreground(home, night_plan(shop.url, scenario=PAGE)) as night:
        night.campaign.wait_for_load()
        night.viewer.send_signal(signal.SIGTERM)
        night.wait_for_words("stopping")
        night.viewer.send_signal(signal.SIGTERM)
        night.wait_for_words("stopped at once")
        assert night.wait() == 4
    night.campaign.assert_over()
    assert night.campaign.outcomes() == (Outcome.OPERATOR_STOP.value,)
    assert night.campaign.report()["exit_code"] == 4
    assert _is_latched(home)


def test_a_stop_file_stops_a_ramp_at_once_and_holds_until_a_reset(shop: DemoProcess, tmp_path: Path) -> None:
    """`touch STOP` during the ramp: exit 4, latched; the next run is refused with 6 until `reset` was said."""
    home = new_home(tmp_path)
    plan = night_plan(shop.url, scenario=PAGE, phases=TWO_PHASES, ramp_percent=50)
    with foreground(home, plan) as night:
        night.campaign.wait_for(lambda seen: seen.state == "RAMPING" and makes_load(seen), "the ramp")
        (night.campaign.run_dir / "STOP").touch()
        assert night.wait() == 4
    stopped = (Outcome.OPERATOR_STOP, Outcome.NOT_REACHED)
    _assert_stopped(night.campaign, EndCause.EMERGENCY_STOP, outcomes=stopped)
    assert 0.0 <= _stop_s(night.campaign) <= AT_ONCE_S_MAX
    (record, _) = night.campaign.phase_records()
    assert record.load.connections_peak < 2, "the second connection was not due before the middle of the ramp"

    refused = home.command("run", home.write_plan(plan), "--yes")
    assert refused.exit_code == 6
    assert "reset" in refused.err
    assert home.run_names() == {night.campaign.run_id}
    assert home.command("reset").exit_code == 0
    assert home.command("check", home.write_plan(plan)).exit_code == 0


def test_a_permit_that_is_gone_stops_at_once(shop: DemoProcess, tmp_path: Path) -> None:
    """Removing PERMIT: load off at once, exit 4, latched."""
    home = new_home(tmp_path)
    with foreground(home, night_plan(shop.url, scenario=PAGE)) as night:
        night.campaign.wait_for_load()
        night.campaign.permit.unlink()
        assert night.wait() == 4
    _assert_stopped(night.campaign, EndCause.EMERGENCY_STOP, outcomes=(Outcome.OPERATOR_STOP,))
    assert 0.0 <= _stop_s(night.campaign) <= AT_ONCE_S_MAX
    assert _is_latched(home)


def test_the_emergency_stop_reaches_a_campaign_from_another_directory(shop: DemoProcess, tmp_path: Path) -> None:
    """`--emergency-stop` from elsewhere answers 0 when all is quiet; the campaign leaves with 4, and its report stands."""
    home = new_home(tmp_path / "home")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with foreground(home, night_plan(shop.url, scenario=PAGE)) as night:
        night.campaign.wait_for_load()
        answer = home.command("--emergency-stop", "--runs-dir", str(home.runs_dir), "--json", cwd=elsewhere)
        assert night.campaign.marked() == (), "it returns when nothing runs any more"
        assert night.wait() == 4
    assert answer.exit_code == 0, answer
    assert night.campaign.run_id in answer.out
    _assert_stopped(night.campaign, EndCause.EMERGENCY_STOP, outcomes=(Outcome.OPERATOR_STOP,))
    assert _is_latched(home)


def test_a_stop_before_any_load_needs_none_to_end(shop: DemoProcess, tmp_path: Path) -> None:
    """SIGINT during the baseline: no load was made, none is, and the report says that no phase was reached."""
    home = new_home(tmp_path)
    with foreground(home, night_plan(shop.url, scenario=PAGE, phases=TWO_PHASES, idle_s=20)) as night:
        night.campaign.wait_for_state("BASELINING")
        os.kill(night.viewer.pid, signal.SIGINT)
        assert night.wait() == 4
    reached = (Outcome.NOT_REACHED, Outcome.NOT_REACHED)
    _assert_stopped(night.campaign, EndCause.OPERATOR_STOP, outcomes=reached)
    assert night.campaign.loads() == ()
    assert not _is_latched(home)
