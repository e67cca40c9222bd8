"""Whole nights that a person pauses from another terminal: the load stops, the clock stands still, and it goes on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.status import Paused, Status
from monitoring_logs.records import EndCause, Outcome
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan, phase
from tests.support.nights import Campaign, foreground, new_home
from tests.support.servers import demo_service

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

HELD_S = 3.0
"""Two commands take one second of it; the rest is the look at a load that stands still."""


@pytest.fixture(scope="module")
def shop() -> Iterator[DemoProcess]:
    """One target for all nights of this module; it keeps no state that they could see."""
    with demo_service() as process:
        yield process


def _operations(campaign: Campaign) -> int:
    seen = campaign.status()
    assert isinstance(seen, Status)
    return seen.operations_succeeded + seen.operations_failed


def test_a_paused_phase_makes_no_load_and_goes_on_where_it_stood(shop: DemoProcess, tmp_path: Path) -> None:
    """`pause` answers when the load is held; nothing is requested until `resume-load`; the phase has its whole time.

    Both are in the record, and the phase's record says for how long it was held.
    """
    home = new_home(tmp_path)
    plan = night_plan(shop.url, scenario=PAGE, phases=(phase(seconds=3),))
    with foreground(home, plan) as night:
        campaign = night.campaign
        campaign.wait_for_load()
        paused = home.command("pause", "--json")
        held_since = time.monotonic()
        assert paused.exit_code == 0, paused
        (document,) = paused.document["paused"]
        assert (document["run"], document["done"], document["state"]) == (campaign.run_id, True, "HELD")
        seen = campaign.status()
        assert isinstance(seen, Status)
        assert isinstance(seen.pause, Paused)
        before = _operations(campaign)
        again = home.command("pause", campaign.run_id, "--runs-dir", str(home.runs_dir))
        assert again.exit_code == 0
        assert "load held" in again.out
        assert "paused by a person since" in home.command("status").out
        time.sleep(max(0.0, HELD_S - (time.monotonic() - held_since)))
        assert _operations(campaign) == before
        resumed = home.command("resume-load")
        held_s = time.monotonic() - held_since
        assert resumed.exit_code == 0, resumed
        assert "no longer paused" in resumed.out
        assert night.wait() in (0, 1, 3)
    campaign.assert_over()
    (record,) = campaign.phase_records()
    assert record.outcome in (Outcome.COMPLETED, Outcome.INVALID_GENERATOR), record
    assert HELD_S * 0.9 <= record.held_s <= held_s + 3.0
    assert record.load.hold_s_achieved == pytest.approx(record.load.hold_s_requested, abs=0.2)
    assert record.load.operations_started == record.load.operations_requested
    assert record.end_mono_s - record.start_mono_s >= record.load.hold_s_requested + record.held_s - 0.2
    assert EndCause(campaign.report()["campaign_info"]["end_cause"]) is EndCause.FINISHED
    with campaign.record() as reader:
        words = [(event.kind, event.name) for event in reader.events()]
    assert ("operator", "pause") in words
    assert ("operator", "resume") in words
    for command in ("pause", "resume-load"):
        assert home.command(command).exit_code == 6
        assert home.command(command, "../no").exit_code == 2


def test_a_pause_before_the_first_load_keeps_it_from_starting(shop: DemoProcess, tmp_path: Path) -> None:
    """Paused while the idle host is measured: no load is made until somebody says so; a stop works meanwhile."""
    home = new_home(tmp_path)
    with foreground(home, night_plan(shop.url, scenario=PAGE, phases=(phase(),))) as night:
        campaign = night.campaign
        campaign.wait_for_state("BASELINING")
        answer = home.command("pause")
        assert answer.exit_code == 0, answer
        assert "none of its load starts" in answer.out
        time.sleep(1.5)  # the idle second is over by now
        seen = campaign.status()
        assert isinstance(seen, Status)
        assert seen.state == "BASELINING"
        assert campaign.marked("worker") == ()
        assert home.command("stop").exit_code == 0
        assert night.wait() == 4
    assert campaign.loads() == ()
    assert campaign.outcomes() == (Outcome.NOT_REACHED.value,)
