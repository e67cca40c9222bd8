"""What a detached start tells the person who is about to leave."""

import subprocess
import sys
from pathlib import Path
from typing import cast

import click
import pytest

from campaign.campaign_order import CampaignOrder
from campaign.interfaces.commands import run_campaign
from campaign.interfaces.commands.run_campaign import _detached
from campaign.launch import PreparedRun
from tests.support.running_campaign import own_entry


@pytest.mark.process
@pytest.mark.parametrize("ends", [True, False])
def test_who_detaches_hears_that_logging_out_stops_the_night(
    state_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    ends: bool,
) -> None:
    """Said when it is so, with the way to change it; the campaign goes on all the same."""
    asked: list[Path] = []

    def ends_with_session(place: Path) -> bool:
        asked.append(place)
        return ends

    monkeypatch.setattr(run_campaign, "ends_with_session", ends_with_session)
    entry = own_entry(state_dir, tmp_path / "runs", run_id="night-1")
    prepared = PreparedRun(
        run_id=entry.run_id,
        run_dir=Path(entry.run_dir),
        order=cast("CampaignOrder", None),  # not looked at any more once the supervisor runs
    )
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as supervisor:
        try:
            with click.Context(click.Command("run")):
                assert _detached(prepared, supervisor, state_dir=str(state_dir)) == 0
        finally:
            supervisor.returncode = None  # _detached has let go of it; it is ours to end
            supervisor.kill()
    shown = capsys.readouterr()
    assert ("enable-linger" in shown.err) is ends
    assert "run night-1, detached" in shown.out
    assert asked == [state_dir]
