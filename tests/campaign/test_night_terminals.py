"""Whole nights that lose their terminal: the campaign goes on, and can be reached from any other process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.status import Ended
from monitoring_logs.records import EndCause, Outcome
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan, phase
from tests.support.nights import HANG_S, Home, new_campaign, new_home
from tests.support.servers import demo_service
from tests.support.terminals import in_terminal

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

HUNG_UP = 129


@pytest.fixture(scope="module")
def shop() -> Iterator[DemoProcess]:
    """One target for all nights of this module; it keeps no state that they could see."""
    with demo_service() as process:
        yield process


def _state(home: Home, cwd: Path) -> str:
    answer = home.command("status", "--json", cwd=cwd)
    assert answer.exit_code == 0, answer.err
    (found,) = answer.document["campaigns"]
    assert found["alive"] is True
    return str(found["progress"]["state"])


def test_a_foreground_campaign_survives_the_loss_of_its_terminal(shop: DemoProcess, tmp_path: Path) -> None:
    """SIGHUP ends the view, not the night: it finishes its phase, `status` sees it rest, and `stop` ends the rest."""
    home = new_home(tmp_path / "home")
    phases = (phase("first", seconds=3), phase("never"))
    words = home.run_words(night_plan(shop.url, scenario=PAGE, phases=phases, rest="30s"))
    with in_terminal(words, environment=home.environment(), cwd=home.path) as terminal:
        campaign = new_campaign(home, set(), terminal.program, home.path / "plan.yaml")
        try:
            campaign.wait_for_load(seconds=0)
            assert campaign.run_id in terminal.shown, "it had its view"
            terminal.close()
            assert terminal.program.wait(HANG_S) == HUNG_UP
            campaign.wait_for_state("COOLING")
            assert _state(home, tmp_path) == "COOLING"

            stopped = home.command("stop", "--json", cwd=tmp_path)
            assert stopped.exit_code == 0, stopped.err
            assert stopped.document["stopped"][0]["quiet"] is True
            assert campaign.marked() == (), "it returns when nothing runs any more"
        finally:
            campaign.end_by_force()
    campaign.assert_over()
    assert campaign.outcomes() == (Outcome.COMPLETED.value, Outcome.NOT_REACHED.value)
    report = campaign.report()
    assert EndCause(report["campaign_info"]["end_cause"]) is EndCause.OPERATOR_STOP
    assert report["exit_code"] == 4
    assert report["phase_results"][0]["passed"] is True, "what was measured before the stop stands"


def test_a_detached_campaign_outlives_its_terminal_and_has_its_runs_directory_alone(
    shop: DemoProcess, tmp_path: Path
) -> None:
    """`--detach` returns at once; another terminal sees the campaign; a second one is refused with 6; runs/STOP ends it."""
    home = new_home(tmp_path / "home")
    plan = night_plan(shop.url, scenario=PAGE)
    words = [*home.run_words(plan), "--detach"]
    with in_terminal(words, environment=home.environment(), cwd=home.path) as terminal:
        campaign = new_campaign(home, set(), terminal.program, home.path / "plan.yaml")
        try:
            assert terminal.program.wait(HANG_S) == 0
            assert campaign.run_id in terminal.shown
            terminal.close()
            campaign.wait_for_load()
            assert _state(home, tmp_path) == "HOLDING"

            second = home.command("run", home.write_plan(plan), "--yes")
            assert second.exit_code == 6
            assert campaign.run_id in second.err
            assert home.run_names() == {campaign.run_id}
            assert _state(home, tmp_path) == "HOLDING", "the first one is unaffected"

            (home.runs_dir / "STOP").touch()
            assert campaign.seconds_until_load_is_gone() <= 3.0
            campaign.wait_until_quiet()
        finally:
            campaign.end_by_force()
    campaign.assert_over()
    assert campaign.outcomes() == (Outcome.OPERATOR_STOP.value,)
    ended = campaign.wait_for(lambda seen: isinstance(seen.end, Ended), "its last document")
    assert isinstance(ended.end, Ended)
    assert (ended.end.exit_code, ended.end.cause) == (4, EndCause.EMERGENCY_STOP.value)

    stale = home.command("run", home.write_plan(plan), "--yes")
    assert stale.exit_code == 6
    assert os.fspath(home.runs_dir / "STOP") in stale.err
    assert home.command("reset").exit_code == 0
    assert not (home.runs_dir / "STOP").exists()
