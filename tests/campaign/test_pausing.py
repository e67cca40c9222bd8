"""Pausing from another terminal: the file, the wait for the campaign's answer, and the two commands."""

import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baseline_metrics.clock import FakeClock
from campaign import control
from campaign.control import (
    PAUSE_WAIT_S_MAX,
    Ending,
    NoAnswer,
    Obeyed,
    PauseNotAskedError,
    TooOld,
    ask_pause,
    wait_for_pause,
)
from campaign.interfaces.cli import main
from campaign.interfaces.exit_codes import Exit
from campaign.pause_file import PauseWatch, Wish, pause_path
from campaign.status import Paused, write_status
from safety_monitoring.registry import CampaignEntry, ProcessIdentity
from tests.support.running_campaign import own_entry
from tests.support.status_documents import NOW_UTC_S, status_document

RUN_ID = "20251120T210000Z-nightly"
PAUSED = Paused(since_utc_s=NOW_UTC_S)


@pytest.fixture
def entry(state_dir: Path, tmp_path: Path) -> CampaignEntry:
    """A registered campaign whose supervisor is this process."""
    return own_entry(state_dir, tmp_path / "runs", run_id=RUN_ID)


def show(state_dir: Path, **changes: Any) -> None:
    """Let the campaign's status document say something."""
    values: dict[str, Any] = {"version": 2, "run_id": RUN_ID}
    write_status(control.status_path(str(state_dir), RUN_ID), status_document(**{**values, **changes}))


# The file -------------------------------------------------------------------------------------------------------------


def test_the_file_is_the_wish(state_dir: Path, entry: CampaignEntry) -> None:
    """It is seen when it appears and when it is gone, once each; said twice it is said once."""
    watch = PauseWatch(pause_path(str(state_dir), entry.run_id))
    seen = [watch.look()]
    for paused in (True, True, False, False, True):
        ask_pause(str(state_dir), entry.run_id, paused=paused)
        seen.append(watch.look())
    assert seen == [Wish.AS_BEFORE, Wish.PAUSE, Wish.AS_BEFORE, Wish.RESUME, Wish.AS_BEFORE, Wish.PAUSE]


def test_a_supervisor_that_starts_late_finds_the_wish(state_dir: Path, entry: CampaignEntry) -> None:
    """A pause that comes before the first look is not lost."""
    ask_pause(str(state_dir), entry.run_id, paused=True)
    assert PauseWatch(pause_path(str(state_dir), entry.run_id)).look() is Wish.PAUSE


def test_a_file_that_cannot_be_looked_at_changes_nothing(tmp_path: Path) -> None:
    """A path through a file is neither there nor gone."""
    (tmp_path / "file").touch()
    assert PauseWatch(tmp_path / "file" / "PAUSE").look() is Wish.AS_BEFORE


def test_a_pause_that_cannot_be_said_names_another_way(state_dir: Path) -> None:
    """A campaign without its directory: the message says how to take the load away."""
    with pytest.raises(PauseNotAskedError, match="--emergency-stop"):
        ask_pause(str(state_dir), RUN_ID, paused=True)
    ask_pause(str(state_dir), RUN_ID, paused=False)  # nothing to take away


# The answer -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paused", [True, False])
def test_the_campaigns_own_status_is_the_answer(state_dir: Path, entry: CampaignEntry, paused: bool) -> None:  # noqa: FBT001 - a row
    """It is waited for until the document shows what was asked."""
    show(state_dir, **({} if paused else {"pause": PAUSED}))
    looks = 0

    class Counting(FakeClock):
        """Lets the campaign answer at the third look."""

        def sleep(self, seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                show(state_dir, **({"pause": PAUSED, "state": "HELD"} if paused else {}))
            super().sleep(seconds)

    answer = wait_for_pause(entry, state_dir=str(state_dir), paused=paused, clock=Counting())
    assert isinstance(answer, Obeyed)
    assert isinstance(answer.status.pause, Paused) is paused
    assert looks == 3


@pytest.mark.parametrize(
    ("obeyed", "in_flight", "kind"), [(True, 0, Obeyed), (True, 2, Obeyed), (False, 0, NoAnswer), (False, 2, NoAnswer)]
)
def test_a_load_that_does_not_stand_is_waited_for(
    state_dir: Path, entry: CampaignEntry, kind: type, *, obeyed: bool, in_flight: int
) -> None:
    """Until nothing is in flight; at the bound a load that starts nothing new counts as paused, any other does not."""
    pause = Paused(since_utc_s=NOW_UTC_S, obeyed=obeyed, operations_in_flight=in_flight)
    show(state_dir, pause=pause, state="HELD")
    answer = wait_for_pause(entry, state_dir=str(state_dir), paused=True, clock=FakeClock())
    assert isinstance(answer, kind)
    assert isinstance(answer, Obeyed | NoAnswer)
    assert answer.waited_s == pytest.approx(0.0 if pause.stands else PAUSE_WAIT_S_MAX, abs=control.LOOK_S)


@pytest.mark.parametrize("state", ["STOPPING", "CONCLUDING", "DONE", "STOPPED"])
def test_a_campaign_that_ends_has_no_load_to_pause(state_dir: Path, entry: CampaignEntry, state: str) -> None:
    """It is not waited for."""
    show(state_dir, state=state)
    assert wait_for_pause(entry, state_dir=str(state_dir), paused=True, clock=FakeClock()) == Ending()


def test_a_campaign_of_an_earlier_version_is_told_apart(state_dir: Path, entry: CampaignEntry) -> None:
    """It would never answer."""
    show(state_dir, version=1)
    assert wait_for_pause(entry, state_dir=str(state_dir), paused=True, clock=FakeClock()) == TooOld()


def test_a_campaign_that_says_nothing_is_waited_for_ten_seconds(state_dir: Path, entry: CampaignEntry) -> None:
    """Its loop hangs, or its disk does; the wait has its bound."""
    answer = wait_for_pause(entry, state_dir=str(state_dir), paused=True, clock=FakeClock())
    assert isinstance(answer, NoAnswer)
    assert answer.waited_s == pytest.approx(PAUSE_WAIT_S_MAX, abs=control.LOOK_S)


def test_a_supervisor_that_is_gone_has_no_load(state_dir: Path, entry: CampaignEntry) -> None:
    """Its pid alone would be somebody else's."""
    gone = ProcessIdentity(pid=entry.supervisor.pid, start_ticks=1, boot_id=entry.supervisor.boot_id)
    ended = CampaignEntry(
        run_id=entry.run_id,
        run_dir=entry.run_dir,
        runs_dir=entry.runs_dir,
        started_utc_s=entry.started_utc_s,
        supervisor=gone,
    )
    show(state_dir, pause=PAUSED)
    assert wait_for_pause(ended, state_dir=str(state_dir), paused=True, clock=FakeClock()) == Ending()


# The commands ---------------------------------------------------------------------------------------------------------


def answering(state_dir: Path, **changes: Any) -> Callable[[], None]:
    """A campaign that answers once it was asked to pause; call the result to wait until it has."""
    wanted = pause_path(str(state_dir), RUN_ID)
    over = threading.Event()

    def answer() -> None:
        for _ in range(500):
            if over.wait(0.01) or wanted.exists():
                break
        show(state_dir, pause=PAUSED, **changes)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()

    def finish() -> None:
        over.set()
        thread.join(10.0)

    return finish


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("state", "words"), [("HELD", "load held"), ("COOLING", "none of its load starts before `resume-load`")]
)
def test_pause_says_what_it_has_done(
    state_dir: Path, capsys: pytest.CaptureFixture[str], state: str, words: str
) -> None:
    """Exit 0 once the campaign shows it; under load that it is held, else that none starts."""
    show(state_dir)
    finish = answering(state_dir, state=state)
    assert main(["pause"]) == Exit.DONE
    finish()
    assert words in capsys.readouterr().out


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("rung", "words"), [("CLEAR", "no longer paused: holding the load"), ("EASE", "the guardian stands at ease")]
)
def test_resume_load_says_what_it_has_done(
    state_dir: Path, capsys: pytest.CaptureFixture[str], rung: str, words: str
) -> None:
    """Also that the guardian's own word still stands against full load."""
    show(state_dir, guardian_rung=rung)
    assert main(["resume-load", RUN_ID]) == Exit.DONE
    assert words in capsys.readouterr().out


@pytest.mark.usefixtures("entry")
def test_one_document_with_json(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run, whether it was done, and the state that it led to."""
    show(state_dir, pause=PAUSED, state="HELD")
    assert main(["pause", "--json"]) == Exit.DONE
    (document,) = json.loads(capsys.readouterr().out)["paused"]
    assert (document["run"], document["done"], document["state"]) == (RUN_ID, True, "HELD")


@pytest.mark.usefixtures("entry")
def test_what_is_still_being_answered_is_said(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that does not answer within the wait keeps its operations; nothing new is started all the same."""
    monkeypatch.setattr(control, "wait_for_pause", functools.partial(wait_for_pause, wait_s_max=0.0))
    show(state_dir, pause=Paused(since_utc_s=NOW_UTC_S, operations_in_flight=2), state="HELD")
    assert main(["pause"]) == Exit.DONE
    assert "nothing new is started; 2 operations are still being answered" in capsys.readouterr().out
    assert main(["pause", "--json"]) == Exit.DONE
    (document,) = json.loads(capsys.readouterr().out)["paused"]
    assert document["operations_in_flight"] == 2


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("command", ["pause", "resume-load"])
def test_a_campaign_that_is_ending_is_refused(
    state_dir: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Exit 6: there is no load left."""
    show(state_dir, state="CONCLUDING")
    assert main([command]) == Exit.REFUSED
    assert "is ending" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["pause", "resume-load"])
def test_nothing_that_runs_is_refused(state_dir: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Exit 6, and it is said; a name that is none is a usage error."""
    assert state_dir.is_dir()
    assert main([command]) == Exit.REFUSED
    assert "no campaign is running" in capsys.readouterr().out
    assert main([command, "--json"]) == Exit.REFUSED
    assert json.loads(capsys.readouterr().out)["paused" if command == "pause" else "resumed"] == []
    assert main([command, "../elsewhere"]) == Exit.USAGE


@pytest.mark.usefixtures("entry")
def test_another_runs_directory_is_left_alone(state_dir: Path, tmp_path: Path) -> None:
    """--runs-dir narrows it as it narrows `stop`."""
    show(state_dir)
    assert main(["pause", "--runs-dir", str(tmp_path / "elsewhere")]) == Exit.REFUSED
    assert not pause_path(str(state_dir), RUN_ID).exists()


@pytest.mark.usefixtures("entry")
def test_status_shows_since_when(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a person and for a program."""
    show(state_dir, pause=PAUSED, state="HELD")
    assert main(["status"]) == Exit.DONE
    assert "paused by a person since 03:00:00" in capsys.readouterr().out
    assert main(["status", "--json"]) == Exit.DONE
    (campaign,) = json.loads(capsys.readouterr().out)["campaigns"]
    assert campaign["progress"]["paused_since"] == "2025-11-21T03:00:00+01:00"
