"""Commands that a person holds load with, and lets it come back: pause, resume-load.

They run in a process of their own, beside the campaign, find it through the registry, and wait until it shows that it
has heard.
"""

import os
from pathlib import Path
from typing import assert_never

import click

from baseline_metrics.clock import SystemClock
from baseline_metrics.codec import Json
from baseline_metrics.units import format_duration
from campaign import control
from campaign.control import Ending, NoAnswer, Obeyed, PauseNotAskedError, RunningCampaign, TooOld
from campaign.interfaces import wording
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.options import which_campaigns
from campaign.interfaces.output import emit, manner, say, shared_options, tell, warn
from campaign.night import HELD_S_MAX, State
from campaign.status import Paused, Status

NONE_RUNS = "no campaign is running"

Answer = Obeyed | Ending | TooOld | NoAnswer


@click.command()
@click.argument("run", required=False, default="")
@click.option("--runs-dir", type=click.Path(path_type=Path), help="Only campaigns of this runs directory.")
@shared_options
def pause(run: str, runs_dir: Path | None) -> int:
    """Hold a running campaign's load: none is made, and none starts, until `resume-load`.

    Without RUN, all campaigns that run. The clock of a load under way stands still; the window's end does not move. A load
    that is held for more than an hour ends. Exit 6 when nothing runs.
    """
    return _ask(run, runs_dir, paused=True)


@click.command("resume-load")
@click.argument("run", required=False, default="")
@click.option("--runs-dir", type=click.Path(path_type=Path), help="Only campaigns of this runs directory.")
@shared_options
def resume_load(run: str, runs_dir: Path | None) -> int:
    """Let a paused campaign's load come back, as far as the guardian permits.

    Without RUN, all campaigns that run. What does not fit into the window any more is shortened or not reached. Exit 6
    when nothing runs.
    """
    return _ask(run, runs_dir, paused=False)


def _ask(run: str, runs_dir: Path | None, *, paused: bool) -> int:
    found = which_campaigns(run, runs_dir)
    alive = [campaign for campaign in found.campaigns if campaign.alive]
    for campaign in found.campaigns:
        if not campaign.alive:
            tell(f"{campaign.entry.run_id} is not running; what its supervisor left is cleared up by --emergency-stop")
    answers = [(campaign, _asked(campaign, paused=paused)) for campaign in alive]
    if manner().json:
        emit({"paused" if paused else "resumed": [_document(campaign, answer) for campaign, answer in answers]})
    elif not alive:
        say(NONE_RUNS)
    else:
        for campaign, answer in answers:
            say(f"{campaign.entry.run_id}: {_words(answer, paused=paused)}")
    if any(isinstance(answer, NoAnswer) for _, answer in answers):
        return Exit.FAULT
    return Exit.DONE if any(isinstance(answer, Obeyed) for _, answer in answers) else Exit.REFUSED


def _asked(campaign: RunningCampaign, *, paused: bool) -> Answer:
    state_dir = control.state_directory(os.environ)
    try:
        control.ask_pause(state_dir, campaign.entry.run_id, paused=paused)
    except PauseNotAskedError as error:
        warn(str(error))
        return NoAnswer(waited_s=0.0)
    return control.wait_for_pause(campaign.entry, state_dir=state_dir, paused=paused, clock=SystemClock())


def _words(answer: Answer, *, paused: bool) -> str:
    match answer:
        case Obeyed(status=status) if paused and (in_flight := _in_flight(status)):
            return f"paused: nothing new is started; {in_flight} operations are still being answered"
        case Obeyed(status=status) if paused and status.state == State.HELD.value:
            bound = format_duration(HELD_S_MAX)
            return f"load held; `resume-load` lets it go on, and after {bound} it ends"
        case Obeyed() if paused:
            return "paused: none of its load starts before `resume-load`"
        case Obeyed(status=status) if status.guardian_rung != "CLEAR":
            rung = status.guardian_rung.lower().replace("_", " ")
            return f"no longer paused; the guardian stands at {rung}, and lets load return when the host is clear"
        case Obeyed(status=status):
            return f"no longer paused: {wording.STATE_WORDS.get(status.state, status.state)}"
        case Ending():
            return "is ending, there is no load left"
        case TooOld():
            return "was started by an earlier version, which knows no pause; `stop` ends it"
        case NoAnswer(waited_s=waited_s):
            return f"has not answered within {format_duration(waited_s)}; --emergency-stop takes its load away"
    assert_never(answer)


def _in_flight(status: Status) -> int:
    return status.pause.operations_in_flight if isinstance(status.pause, Paused) else 0


def _document(campaign: RunningCampaign, answer: Answer) -> Json:
    head: dict[str, Json] = {"run": campaign.entry.run_id, "run_dir": campaign.entry.run_dir}
    match answer:
        case Obeyed(status=status, waited_s=waited_s):
            return head | {
                "done": True,
                "state": status.state,
                "waited_s": round(waited_s, 3),
                "why_not": None,
                "operations_in_flight": _in_flight(status),
            }
        case Ending():
            return head | {"done": False, "state": None, "waited_s": 0.0, "why_not": "ending"}
        case TooOld():
            return head | {"done": False, "state": None, "waited_s": 0.0, "why_not": "too_old"}
        case NoAnswer(waited_s=waited_s):
            return head | {"done": False, "state": None, "waited_s": round(waited_s, 3), "why_not": "no_answer"}
    assert_never(answer)
